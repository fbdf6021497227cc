#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "vipgate/address.h"
#include "vipgate/rules.h"
#include "wire/bytes.h"

namespace vipgate {

// The Internet checksum (RFC 1071): the one's complement of the one's complement sum of 16-bit big-endian words.

/// The one's complement sum of 16-bit words that were added up, singly or in pairs, in a wider one.
constexpr std::uint16_t checksum_fold(std::uint64_t sum) {
  // A number added to itself with its halves exchanged has in its upper half the sum of both, the carry included.
  sum += std::rotl(sum, 32);
  auto half = static_cast<std::uint32_t>(sum >> 32);
  half += std::rotl(half, 16);
  return static_cast<std::uint16_t>(half >> 16);
}

/// Folded sum of `bytes`, an odd last one padded with zero, added to the folded sum `initial`. Not complemented.
std::uint16_t checksum_sum(std::span<const std::uint8_t> bytes, std::uint16_t initial = 0);

/// Likewise of a few bytes whose number the compiler knows, a multiple of four.
template <std::size_t kSize>
requires(kSize != std::dynamic_extent && kSize % 4 == 0) std::uint16_t
    checksum_sum(std::span<const std::uint8_t, kSize> bytes) {
  std::uint64_t sum = 0;
#pragma GCC unroll 8
  for (std::size_t at = 0; at < kSize; at += 4) {
    std::uint32_t word;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    sum += word;
  }
  return std::rotl(checksum_fold(sum), 8);  // summed in the machine's byte order (RFC 1071 §2 B)
}

/// Folded sum of the pseudo-header of TCP and UDP (RFC 9293 §3.1, RFC 768). Not complemented. `length`: transport
/// header and data.
std::uint16_t pseudo_header_sum(Ipv4Address source, Ipv4Address destination, Protocol protocol, std::uint32_t length);

/// One's complement sum of two folded sums.
constexpr std::uint16_t checksum_add(std::uint16_t a, std::uint16_t b) {
  const std::uint32_t sum = std::uint32_t{a} + b;
  return static_cast<std::uint16_t>(sum + (sum >> 16));
}

/// By how much a change of fields moves the sum that they are part of. They are added up in a wider word and folded
/// in the end.
class ChecksumChange {
 public:
  constexpr void replace16(std::uint16_t before, std::uint16_t after) {
    sum_ += static_cast<std::uint16_t>(~before);
    sum_ += after;
  }
  constexpr void replace32(std::uint32_t before, std::uint32_t after) {
    sum_ += ~before;  // two words at once: 2^16 is 1 in one's complement arithmetic
    sum_ += after;
  }

  /// To a finished checksum: RFC 1624 equation 3, HC' = ~(~HC + ~m + m').
  constexpr std::uint16_t apply(std::uint16_t checksum) const {
    return static_cast<std::uint16_t>(~apply_to_sum(static_cast<std::uint16_t>(~checksum)));
  }

  /// To an uncomplemented sum, such as a partial checksum's pseudo-header sum.
  constexpr std::uint16_t apply_to_sum(std::uint16_t sum) const { return checksum_fold(sum_ + sum); }

 private:
  std::uint64_t sum_ = 0;
};

}  // namespace vipgate
