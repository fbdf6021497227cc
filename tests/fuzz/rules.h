#pragma once

#include <vector>

#include "vipgate/rules.h"

namespace vipgate::fuzz {

/// One VIP, 203.0.113.10, with the services of tests/replay/vipgate.json and one that preserves: for the captures
/// there.
Rules small_rules();

/// Rules with all there is, and what may take their place while traffic flows. None keeps a silent flow for longer than
/// kLongestSilence.
const std::vector<Rules>& rulesets();
inline constexpr Duration kLongestSilence = std::chrono::seconds(100);

/// A private address: of backends and of hosts with flows of their own.
inline bool is_private(Ipv4Address address) {
  return Ipv4Prefix(Ipv4Address(0x0a000000), 8).contains(address);
}

}  // namespace vipgate::fuzz
