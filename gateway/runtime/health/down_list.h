#pragma once

#include <set>
#include <string>

#include "absl/status/status.h"
#include "vipgate/address.h"

namespace vipgate {

/// What the last checks of a gateway found down, as a file in its state folder: the next one, after a kill or an
/// upgrade, sends no client there before it has checked for itself.
inline constexpr const char* kDownList = "down";

/// Empty where there is no such file. What cannot be read is left out: one check makes up for it.
std::set<Endpoint> read_down_list(const std::string& folder);
absl::Status write_down_list(const std::string& folder, const std::set<Endpoint>& down);

}  // namespace vipgate
