#pragma once

#include "flow/flow_record.h"
#include "nat/ruleset.h"

namespace vipgate {

/// Whether the present rules allow a flow that older ones allowed: its VIP and port still have a service, which still
/// allows the client and has the backend, and the source that the backend sees is still one of those it would see; or
/// there is still an egress rule with the same result. A backend that is drained keeps its flows, and one that is down
/// such TCP connections as Service::on_backend_down says. Then the flow takes the present indices and generation, and
/// the next question costs a comparison.
bool revalidate(const Ruleset& rules, FlowRecord& flow);

}  // namespace vipgate
