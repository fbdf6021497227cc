#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/config.h"

namespace vipgate {

/// A configuration from a file: either it, or everything that is wrong with it, a line each, as FILE:LINE:COLUMN: what.
struct LoadResult {
  std::optional<Config> config;
  std::vector<std::string> errors;
  std::vector<ConfigError> details;  ///< the same, in parts; none where the file cannot be read
};

LoadResult load_config(const std::string& file);

}  // namespace vipgate
