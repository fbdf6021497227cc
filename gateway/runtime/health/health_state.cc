#include "runtime/health/health_state.h"

#include <algorithm>

namespace vipgate {

bool CheckedHealth::passed(Time now) {
  count(true);
  const bool first = !proven_;
  proven_ = true;
  if (state_ == Health::up || (!first && in_a_row_ < thresholds_.rise)) return false;
  return change(now < held_until_ ? Health::held : Health::up, now);
}

bool CheckedHealth::failed(Time now) {
  count(false);
  if (state_ == Health::down || (proven_ && in_a_row_ < thresholds_.fall)) return false;
  // That it was up before its first check is a guess, and that the guess was wrong is no flapping.
  if (proven_) held_until_ = now + damping_.went_down(since_, now);
  return change(Health::down, now);
}

void CheckedHealth::count(bool passed) {
  in_a_row_ = passed == last_passed_ ? in_a_row_ + 1 : 1;
  last_passed_ = passed;
}

bool CheckedHealth::change(Health state, Time now) {
  if (state == state_) return false;
  state_ = state;
  since_ = now;
  return true;
}

bool WatchedHealth::take(std::uint64_t signs, Time now) {
  if (down_until_) return false;  // flows from before, which know no better
  if (signs == 0) return false;
  if (now - last_sign_ > thresholds_.interval) signs_ = 0;
  last_sign_ = now;
  signs_ += signs;
  if (signs_ < thresholds_.fall) return false;
  signs_ = 0;
  down_until_ = now + std::max(kFirstPause, damping_.went_down(since_, now));
  since_ = now;
  return true;
}

bool WatchedHealth::try_again(Time now) {
  if (!down_until_ || now < *down_until_) return false;
  down_until_.reset();
  since_ = now;
  return true;
}

}  // namespace vipgate
