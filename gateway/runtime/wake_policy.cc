#include "runtime/wake_policy.h"

#include <algorithm>
#include <utility>

namespace vipgate {

bool WakeTrials::end_turn(std::uint32_t super_packets) {
  const bool ahead = ahead_.load(std::memory_order_relaxed);
  const std::uint32_t period = ahead ? kTrust : kTrial;
  super_packets_.fetch_add(super_packets, std::memory_order_relaxed);
  if (turns_.fetch_add(1, std::memory_order_relaxed) + 1 < period) return ahead;
  const std::uint32_t turns = turns_.exchange(0, std::memory_order_relaxed);
  if (turns < period) return ahead;  // another worker judges
  const std::uint32_t found = super_packets_.exchange(0, std::memory_order_relaxed);
  const bool pays = !ahead && found < kGathered;
  ahead_.store(pays, std::memory_order_relaxed);
  return pays;
}

bool WakePolicy::end_turn() {
  turns_without_ = found_ > 0 ? 0 : std::min(turns_without_ + 1, kSmallTurns);
  if (turns_without_ == kSmallTurns) return false;
  return trials_.end_turn(std::exchange(found_, 0));
}

}  // namespace vipgate
