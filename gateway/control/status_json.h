#pragma once

#include <nlohmann/json.hpp>

#include "runtime/status.h"

namespace vipgate::control {

/// What GET /v1/status answers.
nlohmann::ordered_json status_json(const GatewayStatus& status);

}  // namespace vipgate::control
