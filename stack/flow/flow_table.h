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

/// The flows of one shard: records of fixed number, found by either tuple, ended by silence, and giving way by rank
/// when there is no room. Records and index are memory of the caller; nothing is allocated and nothing moves.
class FlowTable {
 public:
  FlowTable(std::span<FlowRecord> records, std::span<IndexBucket> index, KeyedHash hash);

  std::optional<FlowHit> find(Protocol protocol, const Tuple& tuple) const { return index_.find(protocol, tuple); }
  void prefetch(Protocol protocol, const Tuple& tuple) const { index_.prefetch(protocol, tuple); }

  FlowRecord& operator[](FlowId id) { return records_[id]; }
  const FlowRecord& operator[](FlowId id) const { return records_[id]; }
  std::size_t size() const { return size_; }
  std::size_t capacity() const { return records_.size(); }

  /// Begins a flow with everything in `flow` but its links, last seen then. Both tuples must be free. When the table is
  /// full the oldest flow of the lowest class gives way; kNoFlow if all are live.
  FlowId insert(const FlowRecord& flow, Duration timeout);

  /// The flow's class or timeout has changed: puts it where it belongs. Costs more than `last_seen = now`, so only
  /// after changes.
  void update(FlowId id, FlowClass flow_class, Duration timeout);

  void erase(FlowId id);

  /// Ends flows that have been silent for longer than `timeout_of(record)`, looking at no more than `budget` flows.
  /// Returns how many.
  template <typename TimeoutOf>
  std::size_t expire(Time now, std::size_t budget, TimeoutOf&& timeout_of) {
    std::size_t ended = 0;
    for (; budget > 0; --budget) {
      const FlowId id = wheel_.take_due(records_, now);
      if (id == kNoFlow) break;
      const Time deadline = records_[id].last_seen + timeout_of(records_[id]);
      wheel_.schedule(records_, id, deadline);
      if (deadline <= now) {
        erase(id);
        ++ended;
      }
    }
    return ended;
  }
  Time next_tick() const { return wheel_.next_tick(); }

  /// Flows that had to give way to others so far.
  std::uint64_t evicted() const { return evicted_; }

 private:
  FlowId take_free_record();

  std::span<FlowRecord> records_;
  FlowIndex index_;
  ExpiryWheel wheel_;
  std::array<FlowList<&FlowRecord::queue>, kFlowClasses> queues_;
  FlowId first_free_ = kNoFlow;  ///< erased records, linked by timer.next
  FlowId first_fresh_ = 0;       ///< records from here on were never used: their pages stay untouched
  std::size_t size_ = 0;
  std::uint64_t evicted_ = 0;
};

}  // namespace vipgate
