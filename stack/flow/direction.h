#pragma once

#include <cstdint>

namespace vipgate {

/// Which way a packet of a flow goes.
enum class Direction : std::uint8_t {
  original,  ///< as the packet that opened the flow
  reply,     ///< back to who opened it
};

constexpr Direction opposite(Direction direction) {
  return direction == Direction::original ? Direction::reply : Direction::original;
}

}  // namespace vipgate
