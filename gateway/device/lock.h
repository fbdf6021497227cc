#pragma once

#include <chrono>
#include <string>

#include "absl/status/statusor.h"
#include "device/unique_fd.h"

namespace vipgate {

/// Takes a lock that one process of this network namespace can hold, until the descriptor is closed or the process
/// ends.
///
/// It is an abstract UNIX socket: its names belong to the network namespace, as devices and routes do, so that neither
/// two mounts nor two state folders defeat it and nothing is left behind by a kill. AlreadyExists names the holder's
/// process id where it can be seen. `patience`: how long to wait for a holder that may be about to end.
absl::StatusOr<UniqueFd> take_namespace_lock(const std::string& name, std::chrono::milliseconds patience = {});

}  // namespace vipgate
