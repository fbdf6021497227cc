#include "wire/checksum.h"

#include <cstring>

#include "wire/bytes.h"

namespace vipgate {
std::uint16_t checksum_sum(std::span<const std::uint8_t> bytes, std::uint16_t initial) {
  // Summed in the machine's byte order and swapped once at the end (RFC 1071 §2 B). 32-bit words in a 64-bit sum: no
  // carry is lost below 16 GiB, and compilers vectorise the loop.
  const std::uint8_t* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t sum = 0;
  for (; left >= 4; at += 4, left -= 4) {
    std::uint32_t word;
    std::memcpy(&word, at, sizeof word);
    sum += word;
  }
  if (left > 0) {
    std::uint32_t word = 0;
    std::memcpy(&word, at, left);
    sum += word;
  }
  return checksum_add(std::rotl(checksum_fold(sum), 8), initial);
}

std::uint16_t pseudo_header_sum(Ipv4Address source, Ipv4Address destination, Protocol protocol, std::uint32_t length) {
  const std::uint64_t source_value = source.value();
  const std::uint64_t destination_value = destination.value();
  return checksum_fold((source_value >> 16) + (source_value & 0xffff) + (destination_value >> 16) +
                       (destination_value & 0xffff) + static_cast<std::uint64_t>(protocol) + (length >> 16) +
                       (length & 0xffff));
}

}  // namespace vipgate
