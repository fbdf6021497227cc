#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vipgate {

/// An IPv4 address. The value is in host byte order everywhere but inside packets.
class Ipv4Address {
 public:
  constexpr Ipv4Address() = default;
  constexpr explicit Ipv4Address(std::uint32_t value) : value_(value) {}

  /// Dotted decimal with four parts, nothing before or after; no leading zeros (they mean octal to some readers).
  static std::optional<Ipv4Address> parse(std::string_view text);

  constexpr std::uint32_t value() const { return value_; }
  std::string to_string() const;

  constexpr auto operator<=>(const Ipv4Address&) const = default;

 private:
  std::uint32_t value_ = 0;
};

/// An address block in CIDR notation (RFC 4632 §3.1). Host bits are zero.
class Ipv4Prefix {
 public:
  constexpr Ipv4Prefix() = default;

  /// Clears the bits of `address` behind `length`, which is 0 to 32.
  constexpr Ipv4Prefix(Ipv4Address address, int length)
      : address_(address.value() & mask_of(length)), length_(static_cast<std::uint8_t>(length)) {}

  /// "10.0.0.0/24" or a plain address (a /32). Set host bits are an error: they are a typing mistake more often than
  /// not.
  static std::optional<Ipv4Prefix> parse(std::string_view text);

  constexpr Ipv4Address address() const { return address_; }
  constexpr int length() const { return length_; }
  constexpr std::uint32_t mask() const { return mask_of(length_); }
  constexpr Ipv4Address last() const { return Ipv4Address(address_.value() | ~mask()); }
  constexpr bool contains(Ipv4Address address) const { return (address.value() & mask()) == address_.value(); }
  constexpr bool contains(Ipv4Prefix other) const { return other.length_ >= length_ && contains(other.address_); }
  std::string to_string() const;

  constexpr auto operator<=>(const Ipv4Prefix&) const = default;

 private:
  static constexpr std::uint32_t mask_of(int length) { return length == 0 ? 0 : ~std::uint32_t{0} << (32 - length); }

  Ipv4Address address_;
  std::uint8_t length_ = 0;
};

/// An address and a port in host byte order. For ICMP queries the identifier stands in the port's place.
struct Endpoint {
  Ipv4Address address;
  std::uint16_t port = 0;

  /// "10.0.0.2:8080".
  static std::optional<Endpoint> parse(std::string_view text);
  std::string to_string() const;
  constexpr auto operator<=>(const Endpoint&) const = default;
};

template <typename Hash>
Hash AbslHashValue(Hash state, Ipv4Address address) {
  return Hash::combine(std::move(state), address.value());
}

template <typename Hash>
Hash AbslHashValue(Hash state, const Endpoint& endpoint) {
  return Hash::combine(std::move(state), endpoint.address, endpoint.port);
}

}  // namespace vipgate
