#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "vipgate/time.h"

namespace vipgate {

/// How long a backend that goes down again and again is not trusted (RFC 2439 does so with routes). The first time
/// costs nothing, each further one twice as long as the one before, to a bound; quiet time takes that back step by
/// step. No clock: whoever asks says what time it is.
class FlapDamping {
 public:
  static constexpr Duration kFirstHold = std::chrono::seconds(5);
  static constexpr Duration kLongestHold = std::chrono::minutes(2);
  static constexpr Duration kQuiet = std::chrono::minutes(2);  ///< up for so long: one time less

  /// A backend that has been up since `up_since` goes down. Returns how long it is not trusted from now on.
  Duration went_down(Time up_since, Time now) {
    times_ -= std::min<std::int64_t>(times_, std::max<std::int64_t>(0, (now - up_since) / kQuiet));
    const Duration hold = times_ == 0 ? Duration{} : std::min(kLongestHold, kFirstHold * (1 << (times_ - 1)));
    times_ = std::min(times_ + 1, kMostTimes);
    return hold;
  }

 private:
  static constexpr std::int64_t kMostTimes = 6;  // 5 s, doubled 5 times, is more than the bound

  std::int64_t times_ = 0;
};

}  // namespace vipgate
