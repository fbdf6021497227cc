#pragma once

#include <cstdint>

#include "flow/hash.h"
#include "flow/tuple.h"
#include "nat/ruleset.h"

namespace vipgate {

// Which of the kShards parts of the flow space a packet belongs to. A function of the packet and of addresses' roles
// alone, so that both directions of a flow agree, whatever worker reads them:
//   1. destination port in an allocation range (any port of a masquerade address): by that port;
//   2. destination is a VIP: by the source endpoint;
//   3. source is a preserve backend: by the destination endpoint;
//   4. else: by the source endpoint.

/// Ports in pairs, so that an allocated port can keep the parity of the one it stands for (RFC 4787 REQ-4).
constexpr std::uint8_t shard_of_port(std::uint16_t port) {
  return static_cast<std::uint8_t>((port >> 1) % kShards);
}

class Sharding {
 public:
  explicit Sharding(std::uint64_t seed) : hash_(seed ^ kSalt) {}

  std::uint8_t of_endpoint(const Endpoint& endpoint) const {
    return static_cast<std::uint8_t>(hash_(endpoint) >> 32 & (kShards - 1));
  }

  /// `source` and `destination` are the roles of the tuple's addresses.
  std::uint8_t of_packet(const Tuple& tuple, const AddressRole& source, const AddressRole& destination) const {
    if (destination.masquerade) return shard_of_port(tuple.destination_port);
    if (destination.is_vip()) return of_endpoint(tuple.source_endpoint());
    if (source.preserve_backend) return of_endpoint(tuple.destination_endpoint());
    return of_endpoint(tuple.source_endpoint());
  }

 private:
  static constexpr std::uint64_t kSalt = 0x5348415244;  // apart from the hashes of tables and ports
  static_assert((kShards & (kShards - 1)) == 0);

  KeyedHash hash_;
};

}  // namespace vipgate
