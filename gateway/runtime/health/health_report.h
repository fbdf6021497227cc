#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/health_check.h"
#include "runtime/health/check_result.h"
#include "runtime/health/health_state.h"
#include "vipgate/address.h"
#include "vipgate/time.h"

namespace vipgate {

/// What is checked, and how: one check for all services that want the same.
struct HealthTarget {
  Endpoint backend{};     ///< with the port that is checked; 0: none is known, or none matters
  HealthCheck check{};    ///< without the port
  std::string service{};  ///< which is told to a program

  auto operator<=>(const HealthTarget&) const = default;
};

struct HealthReport {
  std::string name;
  HealthTarget target;
  Health state = Health::up;
  Time since{};                       ///< when it became so
  std::optional<Time> held_until{};   ///< earliest time to be up again
  std::optional<CheckResult> last{};  ///< none: not checked yet
  Duration latency{};                 ///< of the last check
  std::uint64_t checks = 0;           ///< that ended
  std::uint64_t failures = 0;         ///< of them
};

/// By service, counted through all VIPs, and backend; none: nothing is known of it, since nothing is checked.
using HealthReports = std::vector<std::vector<std::optional<HealthReport>>>;

}  // namespace vipgate
