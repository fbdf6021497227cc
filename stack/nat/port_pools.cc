#include "nat/port_pools.h"

#include <bit>

namespace vipgate {
namespace {

constexpr std::uint64_t bit_of(std::uint32_t index) {
  return std::uint64_t{1} << index % 64;
}

PortPools::Key key_of(Protocol protocol, const Tuple& reply) {
  return {protocol, reply.source_endpoint(), reply.destination};
}

}  // namespace

PortPool::PortPool() : taken_{} {
  static_assert(kPortsOfShard % 64 != 0);
  taken_.back() = ~std::uint64_t{0} << kPortsOfShard % 64;  // there are no such ports
}

void PortPool::take(std::uint32_t index) {
  std::uint64_t& word = taken_[index / 64];
  if ((word & bit_of(index)) != 0) return;
  word |= bit_of(index);
  if (~word == 0) full_ = static_cast<std::uint16_t>(full_ | 1U << index / 64);
  --free_;
}

void PortPool::give_back(std::uint32_t index) {
  std::uint64_t& word = taken_[index / 64];
  if ((word & bit_of(index)) == 0) return;
  word &= ~bit_of(index);
  full_ = static_cast<std::uint16_t>(full_ & ~(1U << index / 64));
  ++free_;
}

std::optional<std::uint32_t> PortPool::find_free(std::uint64_t random) const {
  if (free_ == 0) return std::nullopt;
  const auto with_free = static_cast<std::uint16_t>(~full_);
  const auto first_word = static_cast<int>(random % kWords);
  const auto word =
      static_cast<std::uint32_t>(first_word + std::countr_zero(std::rotr(with_free, first_word))) % kWords;
  const auto first_bit = static_cast<int>(random / kWords % 64);
  const auto bit = static_cast<std::uint32_t>(first_bit + std::countr_zero(std::rotr(~taken_[word], first_bit))) % 64;
  return word * 64 + bit;
}

PortPools::Place& PortPools::place_of(const Key& key) {
  // Nobody chooses backends in order to have them collide: any mixture does.
  const std::uint64_t mixed = (std::uint64_t{key.backend.address.value()} << 16 ^ key.backend.port ^
                               std::uint64_t{key.source.value()} << 32 ^ static_cast<std::uint64_t>(key.protocol)) *
                              0x9E3779B97F4A7C15;  // 2^64 divided by the golden ratio: Fibonacci hashing
  static_assert(kPlaces == 16);
  return places_[mixed >> 60];
}

PortPool* PortPools::find(const Key& key) {
  if (pools_ == 0) return nullptr;
  Place& place = place_of(key);
  return place.key == key ? &place.pool : nullptr;
}

PortPool& PortPools::add(const Key& key) {
  Place& place = place_of(key);
  if (!place.key) ++pools_;
  place.key = key;
  place.pool = PortPool();
  return place.pool;
}

void PortPools::take(Protocol protocol, const Tuple& reply) {
  if (reply.destination_port < kFirstSourcePort) return;
  if (PortPool* pool = find(key_of(protocol, reply))) pool->take(index_of_port(reply.destination_port));
}

void PortPools::give_back(Protocol protocol, const Tuple& reply) {
  if (reply.destination_port < kFirstSourcePort) return;
  const Key key = key_of(protocol, reply);
  PortPool* pool = find(key);
  if (pool == nullptr) return;
  pool->give_back(index_of_port(reply.destination_port));
  if (pool->free() < kPlenty) return;
  place_of(key).key.reset();
  --pools_;
}

}  // namespace vipgate
