#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "flow/direction.h"
#include "flow/flow_record.h"
#include "flow/hash.h"

namespace vipgate {

/// Where a tuple was found: the flow, and in which direction of it the tuple runs.
struct FlowHit {
  FlowId id = kNoFlow;
  Direction direction = Direction::original;
};

/// One cache line of the index. An entry is a 16-bit tag of the hash and a reference (flow id and direction).
struct alignas(64) IndexBucket {
  static constexpr std::size_t kEntries = 10;

  std::uint16_t tags[kEntries];  ///< 0: empty
  std::uint32_t references[kEntries];
  std::uint32_t passed_on;  ///< entries whose way led through this full bucket to a later one
};
static_assert(sizeof(IndexBucket) == 64);

/// From tuples to flows: a hash table of fixed size over memory of the caller, both tuples of a flow in it.
///
/// A full bucket passes an entry on to the next one and counts it, so that a look-up stops at the first bucket that has
/// passed nothing on. Removal takes the counts back along the way: there are no tombstones, and the table never needs
/// to be rebuilt.
class FlowIndex {
 public:
  /// Buckets for both tuples of `flows` flows, 70 % full at most.
  static std::size_t buckets_for(std::size_t flows);

  FlowIndex(std::span<IndexBucket> buckets, std::span<const FlowRecord> records, KeyedHash hash)
      : buckets_(buckets), records_(records), hash_(hash) {}

  std::optional<FlowHit> find(Protocol protocol, const Tuple& tuple) const;
  void insert(FlowId id, Direction direction);
  void erase(FlowId id, Direction direction);

  void prefetch(Protocol protocol, const Tuple& tuple) const {
    __builtin_prefetch(&buckets_[place_of(hash_(protocol, tuple)).bucket]);
  }

 private:
  struct Place {
    std::size_t bucket;
    std::uint16_t tag;
  };

  Place place_of(std::uint64_t hash) const;
  std::size_t next(std::size_t bucket) const { return bucket + 1 == buckets_.size() ? 0 : bucket + 1; }
  const Tuple& tuple_of(FlowId id, Direction direction) const {
    return direction == Direction::original ? records_[id].original : records_[id].reply;
  }

  std::span<IndexBucket> buckets_;
  std::span<const FlowRecord> records_;
  KeyedHash hash_;
};

}  // namespace vipgate
