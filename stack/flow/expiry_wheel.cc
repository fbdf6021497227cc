#include "flow/expiry_wheel.h"

#include <algorithm>

namespace vipgate {

void ExpiryWheel::schedule(std::span<FlowRecord> records, FlowId id, Time deadline) {
  // One tick later than the deadline's own: a slot is due when its first moment has come.
  const Tick tick = std::clamp<Tick>(tick_of(deadline) + 1, tick_ + 1, tick_ + Tick{kSlots} - 1);
  records[id].timer_slot = static_cast<std::uint16_t>(slot_of(tick));
  slots_[slot_of(tick)].push_back(records, id);
}

void ExpiryWheel::cancel(std::span<FlowRecord> records, FlowId id) {
  slots_[records[id].timer_slot].remove(records, id);
}

bool ExpiryWheel::is_earlier(const FlowRecord& record, Time deadline) const {
  const Tick ahead = static_cast<Tick>((record.timer_slot + kSlots - slot_of(tick_)) % kSlots);
  return tick_of(deadline) + 1 < tick_ + ahead;
}

FlowId ExpiryWheel::take_due(std::span<FlowRecord> records, Time now) {
  const Tick present = tick_of(now);
  // After a long silence every slot is due once; nothing is gained by going round more often.
  tick_ = std::max(tick_, present - Tick{kSlots} + 1);
  for (;;) {
    auto& slot = slots_[slot_of(tick_)];
    if (!slot.empty()) {
      const FlowId id = slot.front();
      slot.remove(records, id);
      return id;
    }
    if (tick_ >= present) return kNoFlow;
    ++tick_;
  }
}

}  // namespace vipgate
