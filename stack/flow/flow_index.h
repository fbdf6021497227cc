#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "flow/direction.h"
#include "flow/flow_record.h"
#include "flow/hash.h"

namespace vipgate {

/// Where a tuple was found, if it was: the flow, and in which direction of it the tuple runs. Eight bytes, which a
/// register holds.
struct FlowHit {
  FlowId id = kNoFlow;
  Direction direction = Direction::original;

  explicit operator bool() const { return id != kNoFlow; }
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

  FlowHit find(Protocol protocol, const Tuple& tuple) const {
    return find(protocol, tuple, hash_(protocol, tuple), {});
  }

  // The same in steps, for those who look for several tuples at once: all memory of one is fetched while the others
  // have their turn. Flows may come and go between the steps.
  /// Fetches the bucket.
  void prefetch(std::uint64_t hash) const { __builtin_prefetch(&buckets_[place_of(hash).bucket]); }
  /// Looks into the bucket and fetches the record that is meant unless tags collide; kNoFlow where no tag fits.
  FlowHit look_ahead(std::uint64_t hash) const;
  /// `probably`: what look_ahead() said, or nothing.
  FlowHit find(Protocol protocol, const Tuple& tuple, std::uint64_t hash, FlowHit probably) const;

  void insert(FlowId id, Direction direction);
  void erase(FlowId id, Direction direction);

 private:
  struct Place {
    std::size_t bucket;
    std::uint16_t tag;
  };

  Place place_of(std::uint64_t hash) const {
    // The upper half picks the bucket (scaled, which spares a division), the lower one gives the tag.
    const auto tag = static_cast<std::uint16_t>(hash);
    return {static_cast<std::size_t>((hash >> 32) * buckets_.size() >> 32), tag == 0 ? std::uint16_t{1} : tag};
  }
  bool is(FlowHit hit, Protocol protocol, const Tuple& tuple) const {
    return records_[hit.id].protocol == protocol && tuple_of(hit.id, hit.direction) == tuple;
  }
  std::size_t next(std::size_t bucket) const { return bucket + 1 == buckets_.size() ? 0 : bucket + 1; }
  const Tuple& tuple_of(FlowId id, Direction direction) const {
    return direction == Direction::original ? records_[id].original : records_[id].reply;
  }

  std::span<IndexBucket> buckets_;
  std::span<const FlowRecord> records_;
  KeyedHash hash_;
};

}  // namespace vipgate
