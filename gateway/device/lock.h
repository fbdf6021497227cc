#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "device/unique_fd.h"

namespace vipgate {

/// Takes a lock that one process of this network namespace can hold, until the descriptor is closed or the process
/// ends.
///
/// It is an abstract UNIX socket: its names belong to the network namespace, as devices and routes do, so that neither
/// two mounts nor two state folders defeat it and nothing is left behind by a kill. AlreadyExists names the holder's
/// process id where it can be seen.
absl::StatusOr<UniqueFd> take_namespace_lock(const std::string& name);

}  // namespace vipgate
