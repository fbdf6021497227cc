#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "control/api.h"

namespace vipgate::control {

/// Asks the gateway behind a UNIX socket once, and waits for the answer. Unavailable, with the remedy: nobody answers.
/// PermissionDenied: this user may not.
absl::StatusOr<Response> ask(const std::string& socket, const Request& request);

}  // namespace vipgate::control
