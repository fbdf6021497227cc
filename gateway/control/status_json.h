#pragma once

#include <nlohmann/json.hpp>

#include "runtime/status.h"

namespace vipgate::control {

/// What GET /v1/status answers.
nlohmann::ordered_json status_json(const GatewayStatus& status);
/// Parts of it as lists: each service with its VIP, each backend with its service and VIP.
nlohmann::ordered_json services_json(const GatewayStatus& status);
nlohmann::ordered_json backends_json(const GatewayStatus& status);
/// Every reason for which packets are dropped or rejected, the most frequent first.
nlohmann::ordered_json drops_json(const GatewayStatus& status);

}  // namespace vipgate::control
