#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/replay.h"

namespace vipgate {

/// In what two configurations treat a packet otherwise. The first that holds, in this order.
enum class Difference : std::uint8_t {
  none,
  verdict,
  reason,
  service,  ///< by name
  backend,  ///< by endpoint
  output,   ///< the packets that would be sent
};
inline constexpr std::size_t kDifferences = 6;
std::string_view name_of(Difference difference);  ///< as in the enum

/// The source port that a new flow is given, and an ICMP query's identifier, are no difference: they depend on which
/// flows there are besides.
Difference compare(const ReplayedPacket& was, const ReplayedPacket& would_be);

}  // namespace vipgate
