#pragma once

#include <concepts>
#include <string>
#include <string_view>

namespace vipgate::fuzz {

[[noreturn]] void fail(std::string_view what, std::string_view about);

/// Ends the process and says why unless `holds`: for what must be true whatever the input. A fuzzer keeps the input.
/// `about`: text, a packet, or a function that returns text when it is needed.
inline void require(bool holds, std::string_view what, std::string_view about = {}) {
  if (!holds) fail(what, about);
}
template <typename About>
requires requires(const About& about) {
  about.text();
}
void require(bool holds, std::string_view what, const About& about) {
  if (!holds) fail(what, about.text());
}
template <std::invocable About>
void require(bool holds, std::string_view what, const About& about) {
  if (!holds) fail(what, about());
}

}  // namespace vipgate::fuzz
