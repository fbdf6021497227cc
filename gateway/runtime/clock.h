#pragma once

#include <time.h>

#include "vipgate/time.h"

namespace vipgate {

/// The gateway's clock: monotonic, not moved when the wall clock is set, and going on during suspend, as timers of the
/// other ends do.
inline Time boot_time_now() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return Time(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

}  // namespace vipgate
