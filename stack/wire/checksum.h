#pragma once

#include <cstdint>
#include <span>

#include "vipgate/address.h"
#include "vipgate/rules.h"

namespace vipgate {

// The Internet checksum (RFC 1071): the one's complement of the one's complement sum of 16-bit big-endian words.

/// Folded sum of `bytes`, an odd last one padded with zero, added to the folded sum `initial`. Not complemented.
std::uint16_t checksum_sum(std::span<const std::uint8_t> bytes, std::uint16_t initial = 0);

/// Folded sum of the pseudo-header of TCP and UDP (RFC 9293 §3.1, RFC 768). Not complemented. `length`: transport
/// header and data.
std::uint16_t pseudo_header_sum(Ipv4Address source, Ipv4Address destination, Protocol protocol, std::uint32_t length);

/// One's complement sum of two folded sums.
constexpr std::uint16_t checksum_add(std::uint16_t a, std::uint16_t b) {
  const std::uint32_t sum = std::uint32_t{a} + b;
  return static_cast<std::uint16_t>(sum + (sum >> 16));
}

/// By how much a change of fields moves the sum that they are part of.
class ChecksumChange {
 public:
  constexpr void replace16(std::uint16_t before, std::uint16_t after) {
    sum_ = checksum_add(sum_, checksum_add(static_cast<std::uint16_t>(~before), after));
  }
  constexpr void replace32(std::uint32_t before, std::uint32_t after) {
    replace16(static_cast<std::uint16_t>(before >> 16), static_cast<std::uint16_t>(after >> 16));
    replace16(static_cast<std::uint16_t>(before), static_cast<std::uint16_t>(after));
  }

  /// To a finished checksum: RFC 1624 equation 3, HC' = ~(~HC + ~m + m').
  constexpr std::uint16_t apply(std::uint16_t checksum) const {
    return static_cast<std::uint16_t>(~checksum_add(static_cast<std::uint16_t>(~checksum), sum_));
  }

  /// To an uncomplemented sum, such as a partial checksum's pseudo-header sum.
  constexpr std::uint16_t apply_to_sum(std::uint16_t sum) const { return checksum_add(sum, sum_); }

 private:
  std::uint16_t sum_ = 0;
};

}  // namespace vipgate
