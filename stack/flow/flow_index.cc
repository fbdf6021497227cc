#include "flow/flow_index.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>

namespace vipgate {
namespace {

constexpr std::uint32_t reference_to(FlowId id, Direction direction) {
  return id << 1 | (direction == Direction::reply ? 1U : 0U);
}

/// The entries of a bucket that have a tag, one after the other. Four tags are compared at a time and without branches:
/// which entry it is cannot be foretold.
class EntriesWith {
 public:
  EntriesWith(const IndexBucket& bucket, std::uint16_t tag) {
    const std::uint64_t wanted = tag * kLowest;
    for (std::size_t word = 0; word < kWords; ++word) {
      std::uint64_t tags;
      std::memcpy(&tags, reinterpret_cast<const char*>(&bucket) + word * sizeof tags, sizeof tags);
      const std::uint64_t differing = tags ^ wanted;
      // The highest bit of each tag that is the same: adding carries into it from any of the others.
      const std::uint64_t same = ~(((differing & ~kHighest) + ~kHighest) | differing | ~kHighest);
      bits_ |= (same >> 15) << word;
    }
    bits_ &= kTags;
  }

  bool done() const { return bits_ == 0; }
  std::size_t operator*() const {
    const auto bit = static_cast<std::size_t>(std::countr_zero(bits_));
    return bit % 16 * 4 + bit / 16;
  }
  void next() { bits_ &= bits_ - 1; }

 private:
  static_assert(std::endian::native == std::endian::little && offsetof(IndexBucket, tags) == 0);
  static constexpr std::size_t kWords = (IndexBucket::kEntries + 3) / 4;
  static constexpr std::uint64_t kLowest = 0x0001'0001'0001'0001;
  static constexpr std::uint64_t kHighest = kLowest << 15;
  /// The last word has two tags; the rest of it is no tag.
  static constexpr std::uint64_t kTags = 0x0003'0003'0007'0007;
  static_assert(IndexBucket::kEntries == 10);

  std::uint64_t bits_ = 0;  ///< bit 16 l + w: tag l of word w
};

constexpr FlowHit hit_of(std::uint32_t reference) {
  return {reference >> 1, (reference & 1) != 0 ? Direction::reply : Direction::original};
}

}  // namespace

std::size_t FlowIndex::buckets_for(std::size_t flows) {
  constexpr std::size_t kEntriesInUse = IndexBucket::kEntries * 7 / 10;
  return std::max<std::size_t>(2, (2 * flows + kEntriesInUse - 1) / kEntriesInUse);
}

FlowHit FlowIndex::look_ahead(std::uint64_t hash) const {
  const auto [bucket, tag] = place_of(hash);
  const IndexBucket& here = buckets_[bucket];
  const EntriesWith fitting(here, tag);
  if (fitting.done()) return {};
  const FlowHit hit = hit_of(here.references[*fitting]);
  const auto* record = reinterpret_cast<const char*>(&records_[hit.id]);
  __builtin_prefetch(record);
  __builtin_prefetch(record + sizeof(FlowRecord) / 2);
  return hit;
}

std::optional<FlowHit> FlowIndex::find(Protocol protocol, const Tuple& tuple, std::uint64_t hash,
                                       FlowHit probably) const {
  if (probably.id != kNoFlow && is(probably, protocol, tuple)) return probably;
  auto [bucket, tag] = place_of(hash);
  for (std::size_t looked_at = 0; looked_at < buckets_.size(); ++looked_at, bucket = next(bucket)) {
    const IndexBucket& here = buckets_[bucket];
    for (EntriesWith entry(here, tag); !entry.done(); entry.next()) {
      const FlowHit hit = hit_of(here.references[*entry]);
      if (is(hit, protocol, tuple)) return hit;
    }
    if (here.passed_on == 0) break;
  }
  return std::nullopt;
}

void FlowIndex::insert(FlowId id, Direction direction) {
  auto [bucket, tag] = place_of(hash_(records_[id].protocol, tuple_of(id, direction)));
  for (;; bucket = next(bucket)) {  // ends: there are more entries than tuples
    IndexBucket& here = buckets_[bucket];
    if (const EntriesWith empty(here, 0); !empty.done()) {
      here.tags[*empty] = tag;
      here.references[*empty] = reference_to(id, direction);
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
    for (EntriesWith entry(here, tag); !entry.done(); entry.next()) {
      if (here.references[*entry] != reference) continue;
      here.tags[*entry] = 0;
      return;
    }
    --here.passed_on;
  }
}

}  // namespace vipgate
