#pragma once

#include <array>
#include <span>

#include "flow/flow_list.h"
#include "vipgate/time.h"

namespace vipgate {

/// Timers of flows: a ring of slots of one second each. A packet only writes its flow's `last_seen`; whoever is called
/// back finds out whether the flow is really due and puts it back otherwise. A deadline beyond the ring waits in the
/// farthest slot and is put back from there, so that a flow is looked at a few times in its life whatever its timeout.
class ExpiryWheel {
 public:
  static constexpr Duration kTick = std::chrono::seconds(1);
  static constexpr std::size_t kSlots = 512;

  /// The flow is handed out by `take_due` at most one tick after `deadline`, or earlier.
  void schedule(std::span<FlowRecord> records, FlowId id, Time deadline);
  void cancel(std::span<FlowRecord> records, FlowId id);

  /// Whether `deadline` lies before the slot in which the flow waits.
  bool is_earlier(const FlowRecord& record, Time deadline) const;

  /// The next flow whose slot has come, taken out of the wheel; kNoFlow when there is none at `now`. Steps over at most
  /// kSlots slots.
  FlowId take_due(std::span<FlowRecord> records, Time now);

  /// When the slot after the one at hand comes due.
  Time next_tick() const { return Time(kTick * (tick_ + 1)); }

 private:
  using Tick = Duration::rep;

  static Tick tick_of(Time time) { return time.time_since_epoch() / kTick; }
  static std::size_t slot_of(Tick tick) { return static_cast<std::size_t>(tick) % kSlots; }

  std::array<FlowList<&FlowRecord::timer>, kSlots> slots_;
  Tick tick_ = 0;  ///< slots before it are empty
};

}  // namespace vipgate
