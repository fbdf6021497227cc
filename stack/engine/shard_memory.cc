#include "engine/shard_memory.h"

#include <algorithm>

// How the memory for flows is divided, and how flows move to memory of another size.

namespace vipgate {
namespace {

constexpr std::size_t per_shard(std::size_t capacity) {
  return capacity / kShards;
}

/// Control connections are few: one flow in 16 may be one.
constexpr std::size_t helpers_per_shard(std::size_t capacity) {
  return (per_shard(capacity) + 15) / 16;
}

template <typename Element>
std::span<Element> part_of(std::span<std::byte> memory, std::size_t count, std::uint32_t shard) {
  static_assert(alignof(Element) <= 64);
  if (memory.empty()) return {};
  return {reinterpret_cast<Element*>(memory.data()) + shard * count, count};
}

/// Returns how many flows find no place.
std::size_t carry_over(const ShardMemory& from, const ShardMemory& to) {
  std::size_t flows = 0;
  std::size_t helpers = 0;
  std::size_t left = 0;
  for (const FlowRecord& record : from.records) {
    if (!record.in_use()) continue;
    const bool has_helper = record.has_extension() && record.extension <= from.helpers.size();
    if (flows == to.records.size() || (has_helper && helpers == to.helpers.size())) {
      ++left;
      continue;
    }
    FlowRecord& place = to.records[flows++] = record;
    if (!has_helper) continue;
    to.helpers[helpers++] = from.helpers[record.extension - 1];
    place.extension = static_cast<std::uint32_t>(helpers);
  }
  return left;
}

}  // namespace

std::size_t flow_record_bytes(std::size_t capacity) {
  return capacity * sizeof(FlowRecord);
}

std::size_t flow_index_bytes(std::size_t capacity) {
  return kShards * FlowIndex::buckets_for(per_shard(capacity)) * sizeof(IndexBucket);
}

std::size_t helper_record_bytes(std::size_t capacity) {
  return kShards * helpers_per_shard(capacity) * sizeof(HelperPool::Place);
}

ShardMemory memory_of_shard(const FlowMemory& memory, std::uint32_t shard) {
  const std::size_t flows = per_shard(memory.capacity);
  return {.records = part_of<FlowRecord>(memory.records, flows, shard),
          .index = part_of<IndexBucket>(memory.index, FlowIndex::buckets_for(flows), shard),
          .helpers = part_of<HelperPool::Place>(memory.helpers, helpers_per_shard(memory.capacity), shard)};
}

std::size_t carry_over(const FlowMemory& from, const FlowMemory& to) {
  std::size_t left = 0;
  for (std::uint32_t shard = 0; shard < kShards; ++shard) {
    left += carry_over(memory_of_shard(from, shard), memory_of_shard(to, shard));
  }
  return left;
}

}  // namespace vipgate
