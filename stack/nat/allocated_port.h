#pragma once

#include <cstdint>
#include <optional>

#include "nat/shard.h"

namespace vipgate {

/// The first port of a shard within `range` for which is_free(port) holds. `range` begins at a multiple of kShardStride
/// and ends before one. Looks first at the ports of the parity of `like` (RFC 4787 REQ-4), from a place that `random`
/// chooses (RFC 6056 §3.3.1), and at each port once. nullopt: none is free.
template <typename IsFree>
std::optional<std::uint16_t> find_port(PortRange range, std::uint8_t shard, std::uint16_t like, std::uint64_t random,
                                       IsFree&& is_free) {
  const std::uint32_t pairs = (range.last - range.first + 1U) / kShardStride;
  for (const std::uint32_t parity : {like & 1U, ~like & 1U}) {
    for (std::uint32_t tried = 0; tried < pairs; ++tried) {
      const auto pair = static_cast<std::uint32_t>((random + tried) % pairs);
      const auto port = static_cast<std::uint16_t>(range.first + pair * kShardStride + 2U * shard + parity);
      if (is_free(port)) return port;
    }
  }
  return std::nullopt;
}
static_assert(kHelperPorts.first % kShardStride == 0 && (kHelperPorts.last + 1) % kShardStride == 0);
static_assert(kEgressPorts.first % kShardStride == 0 && (kEgressPorts.last + 1) % kShardStride == 0);

}  // namespace vipgate
