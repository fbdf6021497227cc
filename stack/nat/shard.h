#pragma once

#include <cstdint>

#include "flow/hash.h"
#include "flow/tuple.h"
#include "nat/ruleset.h"
#include "wire/ipv4.h"

namespace vipgate {

// Which of the kShards parts of the flow space a packet belongs to. A function of the packet and of addresses' roles
// alone, so that both directions of a flow agree, whatever worker reads them:
//   1. destination port in an allocation range (any port of a masquerade address; kAllocatedPorts of a VIP that has use
//      for them): by that port;
//   2. destination is a VIP: by the source endpoint;
//   3. source is where a preserve backend serves: by the destination endpoint;
//   4. else (a private host that opens an egress flow): by the source endpoint.
// Fragments have no ports: they gather by what all fragments of a datagram have in common.
//
// gateway/device/steering.bpf.c does the same in the kernel.

/// Ports in pairs, so that an allocated port can keep the parity of the one it stands for (RFC 4787 REQ-4).
constexpr std::uint8_t shard_of_port(std::uint16_t port) {
  return static_cast<std::uint8_t>((port >> 1) % kShards);
}
/// The ports of one shard: so many lie apart in pairs.
inline constexpr std::uint32_t kShardStride = 2 * kShards;

class Sharding {
 public:
  explicit Sharding(std::uint64_t seed) : hash_(seed ^ kSalt) {}

  std::uint8_t of_endpoint(const Endpoint& endpoint) const { return shard_of(hash_(endpoint)); }

  /// `source_serves_preserved`: as Ruleset says of the source endpoint. `destination`: the role of that address.
  std::uint8_t of_packet(const Tuple& tuple, bool source_serves_preserved, const AddressRole& destination) const {
    if (destination.allocates(tuple.destination_port)) return shard_of_port(tuple.destination_port);
    if (destination.is_vip()) return of_endpoint(tuple.source_endpoint());
    if (source_serves_preserved) return of_endpoint(tuple.destination_endpoint());
    return of_endpoint(tuple.source_endpoint());
  }

  const KeyedHash& hash() const { return hash_; }

  std::uint8_t of_fragment(const Ipv4View& ip) const {
    const std::uint64_t addresses = std::uint64_t{ip.source().value()} << 32 | ip.destination().value();
    return shard_of(hash_(addresses, std::uint64_t{ip.protocol()} << 16 | ip.id()));
  }

 private:
  static std::uint8_t shard_of(std::uint64_t hash) { return static_cast<std::uint8_t>(hash >> 32 & (kShards - 1)); }

  static constexpr std::uint64_t kSalt = 0x5348415244;  // apart from the hashes of tables and ports
  static_assert((kShards & (kShards - 1)) == 0);

  KeyedHash hash_;
};

}  // namespace vipgate
