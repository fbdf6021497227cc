#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "flow/tuple.h"
#include "nat/shard.h"

namespace vipgate {

/// RFC 6056 §3.2: ports below 1024 are not used as ephemeral ones.
inline constexpr std::uint16_t kFirstSourcePort = 1024;

/// How many source ports lead back to one shard.
inline constexpr std::uint32_t kPortsOfShard = (65536 - kFirstSourcePort) / kShards;
static_assert(kPortsOfShard == 1008);

/// The `index`-th of them.
constexpr std::uint16_t nth_port(std::uint8_t shard, std::uint32_t index) {
  const std::uint32_t n = index + kFirstSourcePort / kShards;
  return static_cast<std::uint16_t>((n >> 1) * kShardStride + 2U * shard + (n & 1));
}
/// The inverse, whatever the shard.
constexpr std::uint32_t index_of_port(std::uint16_t port) {
  return port / kShardStride * 2 + (port & 1U) - kFirstSourcePort / kShards;
}
static_assert(nth_port(0, 0) == kFirstSourcePort && nth_port(kShards - 1, kPortsOfShard - 1) == 65535);
static_assert(index_of_port(kFirstSourcePort + 1) == 1 && index_of_port(65535) == kPortsOfShard - 1);

/// Which of a shard's source ports are taken toward one backend endpoint. Finds a free one in constant time.
class PortPool {
 public:
  PortPool();

  // By index, each once.
  void take(std::uint32_t index);
  void give_back(std::uint32_t index);

  std::uint32_t free() const { return free_; }
  /// A free one, which the random number picks; nullopt: there is none.
  std::optional<std::uint32_t> find_free(std::uint64_t random) const;

 private:
  static constexpr std::uint32_t kWords = (kPortsOfShard + 63) / 64;

  std::array<std::uint64_t, kWords> taken_;  ///< a bit a port
  std::uint16_t full_ = 0;                   ///< a bit a word without a free port
  std::uint32_t free_ = kPortsOfShard;
  static_assert(kWords == 16);
};

/// The pools of those backend endpoints toward which ports are scarce. While they are not, a free port is found sooner
/// by looking at some at random. Where too many endpoints are short of ports, they displace each other's pools, which
/// costs time and nothing else.
class PortPools {
 public:
  /// What ports are unique for.
  struct Key {
    Protocol protocol;
    Endpoint backend;
    Ipv4Address source;  ///< the masquerade address

    bool operator==(const Key&) const = default;
  };

  /// nullptr: there is none for this endpoint.
  PortPool* find(const Key& key);
  /// A pool whose ports are all free. Whose they are not, the caller has to take.
  PortPool& add(const Key& key);

  // For every flow that begins or ends, by the tuple in which its source port is the destination port.
  void flow_begins(Protocol protocol, const Tuple& reply) {
    if (pools_ > 0) take(protocol, reply);
  }
  void flow_ends(Protocol protocol, const Tuple& reply) {
    if (pools_ > 0) give_back(protocol, reply);
  }

 private:
  static constexpr std::size_t kPlaces = 16;
  /// A pool is kept until so many ports are free.
  static constexpr std::uint32_t kPlenty = kPortsOfShard / 4;

  struct Place {
    std::optional<Key> key;
    PortPool pool;
  };

  Place& place_of(const Key& key);
  void take(Protocol protocol, const Tuple& reply);
  void give_back(Protocol protocol, const Tuple& reply);

  std::array<Place, kPlaces> places_;
  std::size_t pools_ = 0;
};

}  // namespace vipgate
