#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "vipgate/address.h"

namespace vipgate {

// Big-endian (network order) loads and stores at any alignment. The caller has checked that the bytes are there.

inline std::uint16_t load16(const std::uint8_t* at) {
  return static_cast<std::uint16_t>(at[0] << 8 | at[1]);
}

inline std::uint32_t load32(const std::uint8_t* at) {
  std::uint32_t value;
  std::memcpy(&value, at, sizeof value);
  static_assert(std::endian::native == std::endian::little);
  return __builtin_bswap32(value);
}

inline Ipv4Address load_address(const std::uint8_t* at) {
  return Ipv4Address(load32(at));
}

inline void store16(std::uint8_t* at, std::uint16_t value) {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value);
}

inline void store32(std::uint8_t* at, std::uint32_t value) {
  value = __builtin_bswap32(value);
  std::memcpy(at, &value, sizeof value);
}

}  // namespace vipgate
