#pragma once

#include <optional>
#include <string>

namespace vipgate {

/// Whether a device joins the packets that come in into larger ones (GRO); nullopt where it does not say.
std::optional<bool> merges_packets(const std::string& device);

}  // namespace vipgate
