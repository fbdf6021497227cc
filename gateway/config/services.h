#pragma once

#include <string_view>
#include <vector>

#include "config/draft.h"
#include "config/errors.h"
#include "config/json_tree.h"

namespace vipgate::config {

/// Reads the VIPs with their services from the sections "vips" and "defaults"; either may be missing.
std::vector<DraftVip> read_vips(const JsonValue* section, const JsonValue* defaults, Errors& errors);

}  // namespace vipgate::config
