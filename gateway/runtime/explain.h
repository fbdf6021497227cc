#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vipgate/engine.h"

namespace vipgate {

/// A step on a packet's way, and what was found there: {"service", "web, tcp 80"}.
struct ExplainedStep {
  std::string step;
  std::string finding;
};

/// What becomes of a packet, and why.
struct Explanation {
  std::vector<ExplainedStep> steps;  ///< in order; the last is the verdict
  Verdict verdict;
  std::vector<std::vector<std::uint8_t>> out;  ///< packets that would be sent
};

/// Whether the engine knows what other flows use of their services' limits.
enum class OtherFlows : std::uint8_t { unknown, counted };

/// Puts an IPv4 packet through the engine, which is changed by it, and says what happened on the way. `mtu`: as
/// virtio_header_of_capture().
Explanation explain(Engine& engine, std::span<const std::uint8_t> ip, std::size_t mtu, Time now,
                    OtherFlows others = OtherFlows::unknown);

}  // namespace vipgate
