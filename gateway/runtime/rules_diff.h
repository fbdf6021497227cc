#pragma once

#include <string>
#include <vector>

#include "vipgate/rules.h"

namespace vipgate {

/// What the configuration of `after` changes, a line each: "web: backend 10.0.0.3:8080 added". What this host and its
/// backends are like (Rules::connected and the like) does not count.
std::vector<std::string> describe_changes(const Rules& before, const Rules& after);

}  // namespace vipgate
