#pragma once

#include <chrono>

namespace vipgate {

using Duration = std::chrono::nanoseconds;

/// The engine's own time line: monotonic, and never before its origin. Nothing in the engine reads a
/// clock; whoever calls it says what time it is (CLOCK_BOOTTIME in the gateway, the capture's time stamps in `replay`).
struct EngineClock {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<EngineClock>;
  static constexpr bool is_steady = true;
};

using Time = EngineClock::time_point;

}  // namespace vipgate
