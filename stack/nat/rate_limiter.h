#pragma once

#include <algorithm>
#include <cstdint>

#include "vipgate/time.h"

namespace vipgate {

/// A token bucket: `per_second` events in the long run, `burst` at once.
class RateLimiter {
 public:
  constexpr RateLimiter(std::int64_t per_second, std::int64_t burst)
      : cost_(Duration(std::chrono::seconds(1)) / per_second), burst_(cost_ * burst) {}

  bool allow(Time now) {
    // The bucket as time: full when `empty_at_` lies `burst_` or more in the past.
    empty_at_ = std::max(empty_at_, now - burst_);
    if (empty_at_ + cost_ > now) return false;
    empty_at_ += cost_;
    return true;
  }

 private:
  Duration cost_;
  Duration burst_;
  Time empty_at_ = Time::min() + std::chrono::hours(24);
};

}  // namespace vipgate
