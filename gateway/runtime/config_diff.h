#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace vipgate {

/// What `after` changes of what a reload can change, a line each: "web: backend 10.0.0.3:8080 added".
std::vector<std::string> describe_changes(const Config& before, const Config& after);

}  // namespace vipgate
