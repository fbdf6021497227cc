#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "runtime/capture/capture_query.h"

namespace vipgate::control {

/// What the parameters of /v1/capture ask for (api.h).
absl::StatusOr<CaptureQuery> capture_query(const std::map<std::string, std::string>& parameters);

}  // namespace vipgate::control
