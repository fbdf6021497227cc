#include "flow/flow_index.h"

#include <algorithm>
#include <bit>
#include <cstddef>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace vipgate {
namespace {

constexpr std::uint32_t reference_to(FlowId id, Direction direction) {
  return id << 1 | (direction == Direction::reply ? 1U : 0U);
}

/// The entries of a bucket that have a tag, one after the other. All tags are compared at a time and without branches:
/// which entry it is cannot be foretold.
class EntriesWith {
 public:
  EntriesWith(const IndexBucket& bucket, std::uint16_t tag) : bits_(same(bucket, tag)) {}

  bool done() const { return bits_ == 0; }
  std::size_t operator*() const { return static_cast<std::size_t>(std::countr_zero(bits_)); }
  void next() { bits_ &= bits_ - 1; }

 private:
  static_assert(offsetof(IndexBucket, tags) == 0);

#ifdef __SSE2__
  static std::uint32_t same(const IndexBucket& bucket, std::uint16_t tag) {
    constexpr std::uint32_t kTags = (1U << IndexBucket::kEntries) - 1;  // the second load has references, too
    static_assert(IndexBucket::kEntries > 8 && IndexBucket::kEntries <= 16);
    const auto* words = reinterpret_cast<const __m128i*>(&bucket);
    const __m128i wanted = _mm_set1_epi16(static_cast<std::int16_t>(tag));
    const __m128i first = _mm_cmpeq_epi16(_mm_load_si128(words), wanted);
    const __m128i rest = _mm_cmpeq_epi16(_mm_load_si128(words + 1), wanted);
    return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(first, rest))) & kTags;
  }
#else
  static std::uint32_t same(const IndexBucket& bucket, std::uint16_t tag) {
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < IndexBucket::kEntries; ++i) bits |= (bucket.tags[i] == tag ? 1U : 0U) << i;
    return bits;
  }
#endif

  std::uint32_t bits_;  ///< by entry
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

FlowHit FlowIndex::find(Protocol protocol, const Tuple& tuple, std::uint64_t hash, FlowHit probably) const {
  if (probably && is(probably, protocol, tuple)) return probably;
  auto [bucket, tag] = place_of(hash);
  for (std::size_t looked_at = 0; looked_at < buckets_.size(); ++looked_at, bucket = next(bucket)) {
    const IndexBucket& here = buckets_[bucket];
    for (EntriesWith entry(here, tag); !entry.done(); entry.next()) {
      const FlowHit hit = hit_of(here.references[*entry]);
      if (is(hit, protocol, tuple)) return hit;
    }
    if (here.passed_on == 0) break;
  }
  return {};
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
