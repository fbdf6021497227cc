#pragma once

#include <string_view>

namespace vipgate::control {

inline constexpr const char* kPageType = "text/html; charset=utf-8";

/// The page for browsers (page/, joined by page/join.cmake): all of it, it fetches nothing but the API.
std::string_view page();

}  // namespace vipgate::control
