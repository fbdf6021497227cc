#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>

#include "flow/adoption.h"
#include "flow/expiry_wheel.h"
#include "flow/flow_index.h"
#include "flow/flow_list.h"
#include "flow/flow_record.h"
#include "flow/hash.h"

namespace vipgate {

/// The flows of one shard: records of fixed number, found by either tuple, ended by silence, and ranked for when there
/// is no room. Records and index are memory of the caller; nothing is allocated and nothing moves.
class FlowTable {
 public:
  /// `index` is zeroed. So are `records`, or adopt() is called next.
  FlowTable(std::span<FlowRecord> records, std::span<IndexBucket> index, KeyedHash hash);

  /// What was found in records that another process has used.
  struct Adopted {
    std::size_t flows = 0;
    std::size_t broken = 0;  ///< records that were no whole flow, or the same as another; free now
  };
  /// Takes over the flows of an earlier owner of the records, who used the same hash and may have been killed at any
  /// moment. `admit(record)` gives the flow's timeout, or nullopt where it is not to be kept. All costs one pass over
  /// the records. Flows that may give way do so in the order of their records from here on, not of their age.
  template <typename Admit>
  Adopted adopt(Time now, Admit&& admit, Found found = Found::left) {
    Adopted adopted;
    (void)wheel_.take_due(records_, now);  // empty as yet: it goes to the present
    first_fresh_ = 0;
    for (auto id = static_cast<FlowId>(records_.size()); id-- > 0;) {
      FlowRecord& record = records_[id];
      if (record.in_use()) {
        first_fresh_ = std::max(first_fresh_, id + 1);
        const bool is_whole = make_fit(record, hash_, now, found) && !find(record.protocol, record.original) &&
                              !find(record.protocol, record.reply);
        if (const auto timeout = is_whole ? admit(record) : std::nullopt) {
          // Spread over the wheel: else all that are long silent would be looked at in one moment, again and again.
          const Time turn = now + ExpiryWheel::kTick * static_cast<Duration::rep>(id % ExpiryWheel::kSlots);
          join(id, std::min(record.last_seen + *timeout, turn));
          ++adopted.flows;
          continue;
        }
        record.protocol = Protocol{0};
        ++adopted.broken;
      }
      if (id < first_fresh_) set_free(id);
    }
    return adopted;
  }

  FlowHit find(Protocol protocol, const Tuple& tuple) const { return index_.find(protocol, tuple); }
  // In steps, as FlowIndex has them.
  std::uint64_t hash_of(Protocol protocol, const Tuple& tuple) const { return hash_(protocol, tuple); }
  void prefetch(std::uint64_t hash) const { index_.prefetch(hash); }
  FlowHit look_ahead(std::uint64_t hash) const { return index_.look_ahead(hash); }
  FlowHit find(Protocol protocol, const Tuple& tuple, std::uint64_t hash, FlowHit probably) const {
    return index_.find(protocol, tuple, hash, probably);
  }

  FlowRecord& operator[](FlowId id) { return records_[id]; }
  const FlowRecord& operator[](FlowId id) const { return records_[id]; }
  std::size_t size() const { return size_; }
  std::size_t capacity() const { return records_.size(); }
  bool is_full() const { return size_ == records_.size(); }
  /// Records from here on were never used.
  FlowId used_records() const { return first_fresh_; }

  /// The flow to be erased when room is needed: the oldest of the lowest class; kNoFlow if all are live.
  FlowId first_to_give_way() const;

  /// Fetches the record that the next flow will have.
  void prefetch_room() const;

  /// Begins a flow with everything in `flow` but its links, last seen then. Both tuples must be free. kNoFlow when the
  /// table is full.
  FlowId insert(const FlowRecord& flow, Duration timeout);

  /// The flow's class or timeout has changed: puts it where it belongs. Costs more than `last_seen = now`, so only
  /// after changes.
  void update(FlowId id, FlowClass flow_class, Duration timeout);

  void erase(FlowId id);

  /// Calls end(id), which erases, for flows that have been silent for longer than `timeout_of(record)`, looking at no
  /// more than `budget` flows.
  template <typename TimeoutOf, typename End>
  void expire(Time now, std::size_t budget, TimeoutOf&& timeout_of, End&& end) {
    for (; budget > 0; --budget) {
      const FlowId id = wheel_.take_due(records_, now);
      if (id == kNoFlow) break;
      const Time deadline = records_[id].last_seen + timeout_of(records_[id]);
      wheel_.schedule(records_, id, deadline);
      if (deadline <= now) end(id);
    }
  }
  Time next_tick() const { return wheel_.next_tick(); }

 private:
  FlowId take_free_record();
  void set_free(FlowId id);
  void join(FlowId id, Time deadline);

  std::span<FlowRecord> records_;
  KeyedHash hash_;
  FlowIndex index_;
  ExpiryWheel wheel_;
  std::array<FlowList<&FlowRecord::queue>, kFlowClasses> queues_;
  FlowId first_free_ = kNoFlow;  ///< erased records, linked by timer.next
  FlowId first_fresh_ = 0;       ///< the pages of records from here on stay untouched
  std::size_t size_ = 0;
};

}  // namespace vipgate
