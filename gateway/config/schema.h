#pragma once

#include <string_view>

namespace vipgate {

/// The JSON Schema (draft 7) of configuration files: schema.json. What it refuses, parse_config() refuses; what needs
/// two places to be compared, such as overlapping ports, only that finds.
std::string_view config_schema();

}  // namespace vipgate
