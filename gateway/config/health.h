#pragma once

#include <optional>
#include <string_view>

#include "config/draft.h"
#include "config/errors.h"
#include "config/health_check.h"
#include "config/json_tree.h"

namespace vipgate::config {

/// The key "health" as far as it is clear without the service that it is for.
struct DraftHealth {
  HealthCheck check;
  std::size_t offset = 0;
  bool typed = false;                             ///< says its type
  std::optional<std::size_t> interval_or_fall{};  ///< where one of the two stands: all that there is without a check
  std::optional<std::size_t> active{};            ///< where a key stands that only a check has
};

/// A type, or an object with a type's keys.
std::optional<DraftHealth> read_health(std::string_view key, const JsonValue& value, Errors& errors);

/// The check of a service whose protocols, ports and backends are complete: its own, else the default, else what goes
/// with its protocols. Where it does not fit, a default is passed over, and the service's own is an error. `own` and
/// `defaults` may be null.
HealthCheck pick_health(const DraftHealth* own, const DraftHealth* defaults, const DraftService& service,
                        Errors& errors);

}  // namespace vipgate::config
