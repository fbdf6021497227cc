#include "flow/flow_index.h"

#include <algorithm>

namespace vipgate {
namespace {

constexpr std::uint32_t reference_to(FlowId id, Direction direction) {
  return id << 1 | (direction == Direction::reply ? 1U : 0U);
}

constexpr FlowHit hit_of(std::uint32_t reference) {
  return {reference >> 1, (reference & 1) != 0 ? Direction::reply : Direction::original};
}

}  // namespace

std::size_t FlowIndex::buckets_for(std::size_t flows) {
  constexpr std::size_t kEntriesInUse = IndexBucket::kEntries * 7 / 10;
  return std::max<std::size_t>(2, (2 * flows + kEntriesInUse - 1) / kEntriesInUse);
}

FlowIndex::Place FlowIndex::place_of(std::uint64_t hash) const {
  // The upper half picks the bucket (scaled, which spares a division), the lower one gives the tag.
  const auto tag = static_cast<std::uint16_t>(hash);
  return {static_cast<std::size_t>((hash >> 32) * buckets_.size() >> 32), tag == 0 ? std::uint16_t{1} : tag};
}

std::optional<FlowHit> FlowIndex::find(Protocol protocol, const Tuple& tuple) const {
  auto [bucket, tag] = place_of(hash_(protocol, tuple));
  for (std::size_t looked_at = 0; looked_at < buckets_.size(); ++looked_at, bucket = next(bucket)) {
    const IndexBucket& here = buckets_[bucket];
    for (std::size_t entry = 0; entry < IndexBucket::kEntries; ++entry) {
      if (here.tags[entry] != tag) continue;
      const FlowHit hit = hit_of(here.references[entry]);
      if (records_[hit.id].protocol == protocol && tuple_of(hit.id, hit.direction) == tuple) return hit;
    }
    if (here.passed_on == 0) break;
  }
  return std::nullopt;
}

void FlowIndex::insert(FlowId id, Direction direction) {
  auto [bucket, tag] = place_of(hash_(records_[id].protocol, tuple_of(id, direction)));
  for (;; bucket = next(bucket)) {  // ends: there are more entries than tuples
    IndexBucket& here = buckets_[bucket];
    const auto* empty = std::find(std::begin(here.tags), std::end(here.tags), 0);
    if (empty != std::end(here.tags)) {
      const auto entry = static_cast<std::size_t>(empty - std::begin(here.tags));
      here.tags[entry] = tag;
      here.references[entry] = reference_to(id, direction);
      return;
    }
    ++here.passed_on;
  }
}

void FlowIndex::erase(FlowId id, Direction direction) {
  auto [bucket, tag] = place_of(hash_(records_[id].protocol, tuple_of(id, direction)));
  const std::uint32_t reference = reference_to(id, direction);
  for (;; bucket = next(bucket)) {  // ends: the entry was inserted
    IndexBucket& here = buckets_[bucket];
    for (std::size_t entry = 0; entry < IndexBucket::kEntries; ++entry) {
      if (here.tags[entry] == tag && here.references[entry] == reference) {
        here.tags[entry] = 0;
        return;
      }
    }
    --here.passed_on;
  }
}

}  // namespace vipgate
