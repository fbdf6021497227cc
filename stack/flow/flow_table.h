#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>

#include "flow/expiry_wheel.h"
#include "flow/flow_index.h"
#include "flow/flow_list.h"
#include "flow/flow_record.h"
#include "flow/hash.h"

namespace vipgate {

/// The flows of one shard: records of fixed number, found by either tuple, ended by silence, and ranked for when there is
/// no room. Records and index are memory of the caller; nothing is allocated and nothing moves.
class FlowTable {
 public:
  FlowTable(std::span<FlowRecord> records, std::span<IndexBucket> index, KeyedHash hash);

  std::optional<FlowHit> find(Protocol protocol, const Tuple& tuple) const { return index_.find(protocol, tuple); }
  void prefetch(Protocol protocol, const Tuple& tuple) const { index_.prefetch(protocol, tuple); }

  FlowRecord& operator[](FlowId id) { return records_[id]; }
  const FlowRecord& operator[](FlowId id) const { return records_[id]; }
  std::size_t size() const { return size_; }
  std::size_t capacity() const { return records_.size(); }
  bool is_full() const { return size_ == records_.size(); }
  /// Records from here on were never used.
  FlowId used_records() const { return first_fresh_; }

  /// The flow to be erased when room is needed: the oldest of the lowest class; kNoFlow if all are live.
  FlowId first_to_give_way() const;

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

  std::span<FlowRecord> records_;
  FlowIndex index_;
  ExpiryWheel wheel_;
  std::array<FlowList<&FlowRecord::queue>, kFlowClasses> queues_;
  FlowId first_free_ = kNoFlow;  ///< erased records, linked by timer.next
  FlowId first_fresh_ = 0;       ///< the pages of records from here on stay untouched
  std::size_t size_ = 0;
};

}  // namespace vipgate
