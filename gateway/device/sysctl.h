#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace vipgate {

/// A value under /proc/sys, without the line end. `key` has slashes: "net/ipv4/ip_forward". Device names may have dots.
/// What is not there is NotFound. The calling thread's network namespace is meant.
absl::StatusOr<std::string> read_sysctl(const std::string& key);
absl::Status write_sysctl(const std::string& key, const std::string& value);

}  // namespace vipgate
