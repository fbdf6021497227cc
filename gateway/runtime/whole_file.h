#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"

namespace vipgate {

// Small files of the state folder.

/// The text; nothing where it cannot be read.
std::optional<std::string> read_whole(const std::string& path);

/// Replaces a file (mode 0600) at once or not at all: readers, and whoever starts after a kill, see the old text or the
/// new one.
absl::Status write_whole(const std::string& path, const std::string& text);

}  // namespace vipgate
