#pragma once

#include <string>

#include "runtime/status.h"

namespace vipgate::control {

/// The text format of Prometheus 0.0.4.
inline constexpr const char* kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

/// What GET /metrics answers. Labels are VIPs, services, backends, workers and reasons: their number is bounded by the
/// configuration, and no client is among them.
std::string metrics_text(const GatewayStatus& status);

}  // namespace vipgate::control
