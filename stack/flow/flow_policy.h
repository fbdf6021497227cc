#pragma once

#include <optional>

#include "flow/flow_record.h"
#include "vipgate/rules.h"

namespace vipgate {

/// How long the flow may be silent in its present state. `idle` replaces the timeout of flows that are fully set up.
Duration timeout_of(const FlowRecord& flow, const Timeouts& timeouts, std::optional<Duration> idle);

/// What the flow is worth when room is needed, by its present state.
FlowClass class_of(const FlowRecord& flow);

}  // namespace vipgate
