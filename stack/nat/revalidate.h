#pragma once

#include "flow/flow_record.h"
#include "nat/ruleset.h"

namespace vipgate {

/// Whether the present rules allow a flow that older ones allowed: its VIP and port still have a service, the service
/// still has the backend, and the source that the backend sees is still one of those it would see. Then the flow takes
/// the present indices and generation, and the next question costs a comparison.
bool revalidate(const Ruleset& rules, FlowRecord& flow);

}  // namespace vipgate
