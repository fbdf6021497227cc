#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace vipgate::control {

/// The part of a request's target behind '?', by name: "a=1&b=x%20y" (RFC 3986 §3.4, and "+" for a space as HTML forms
/// have it). nullopt: a broken percent-encoding, or a name twice.
std::optional<std::map<std::string, std::string>> parse_query(std::string_view target);

/// Text that stands for itself in a query.
std::string encode_query(std::string_view text);

}  // namespace vipgate::control
