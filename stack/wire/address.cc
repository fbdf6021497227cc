#include "vipgate/address.h"

#include <charconv>

#include "absl/strings/str_cat.h"

namespace vipgate {
namespace {

/// A decimal number of 0 to `max` without leading zeros; advances `text` behind it.
std::optional<std::uint32_t> take_number(std::string_view& text, std::uint32_t max) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto length = static_cast<std::size_t>(end - text.data());
  if (error != std::errc() || value > max || (length > 1 && text[0] == '0')) return std::nullopt;
  text.remove_prefix(length);
  return value;
}

}  // namespace

std::optional<Ipv4Address> Ipv4Address::parse(std::string_view text) {
  std::uint32_t value = 0;
  for (int part = 0; part < 4; ++part) {
    if (part > 0) {
      if (text.empty() || text[0] != '.') return std::nullopt;
      text.remove_prefix(1);
    }
    const auto number = take_number(text, 255);
    if (!number) return std::nullopt;
    value = value << 8 | *number;
  }
  if (!text.empty()) return std::nullopt;
  return Ipv4Address(value);
}

std::string Ipv4Address::to_string() const {
  return absl::StrCat(value_ >> 24, ".", value_ >> 16 & 255, ".", value_ >> 8 & 255, ".", value_ & 255);
}

std::optional<Ipv4Prefix> Ipv4Prefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = Ipv4Address::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  if (slash == std::string_view::npos) return Ipv4Prefix(*address, 32);
  std::string_view rest = text.substr(slash + 1);
  const auto length = take_number(rest, 32);
  if (!length || !rest.empty()) return std::nullopt;
  const Ipv4Prefix prefix(*address, static_cast<int>(*length));
  if (prefix.address() != *address) return std::nullopt;
  return prefix;
}

std::string Ipv4Prefix::to_string() const {
  return absl::StrCat(address_.to_string(), "/", length_);
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto address = Ipv4Address::parse(text.substr(0, colon));
  std::string_view rest = text.substr(colon + 1);
  const auto port = take_number(rest, 0xffff);
  if (!address || !port || !rest.empty()) return std::nullopt;
  return Endpoint{*address, static_cast<std::uint16_t>(*port)};
}

std::string Endpoint::to_string() const {
  return absl::StrCat(address.to_string(), ":", port);
}

}  // namespace vipgate
