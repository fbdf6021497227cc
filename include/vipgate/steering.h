#pragma once

#include <cstdint>
#include <vector>

#include "vipgate/address.h"
#include "vipgate/engine.h"
#include "vipgate/rules.h"

namespace vipgate {

/// An address of which a packet's shard depends, by the rules of stack/nat/shard.h.
struct SteeredAddress {
  Ipv4Address address{};
  bool is_vip = false;
  std::vector<PortRange> allocates{};  ///< ports that say themselves which shard they are of
  std::vector<PortRange> serves{};     ///< ports at which it answers clients whose addresses it sees

  bool operator==(const SteeredAddress&) const = default;
};

/// All that somebody needs who wants to know the shards of packets before an engine sees them.
struct SteeringTable {
  std::uint64_t first_key = 0;  ///< of the hash, as KeyedHash has them
  std::uint64_t second_key = 0;
  std::vector<SteeredAddress> addresses{};  ///< sorted by address; packets between others are of any shard
};

/// For engines with this ruleset and EngineOptions::seed.
SteeringTable steering_table(const Ruleset& ruleset, std::uint64_t seed);

}  // namespace vipgate
