#include "flow/flow_policy.h"

namespace vipgate {

Duration timeout_of(const FlowRecord& flow, const Timeouts& timeouts, std::optional<Duration> idle) {
  if (flow.kind == FlowKind::mapping) return kMappingLook;
  if (flow.kind == FlowKind::expectation) return kExpectationTimeout;
  switch (flow.protocol) {
    case Protocol::tcp:
      if (idle && flow.tcp.state == TcpState::established && !tcp_is_half_open(flow.tcp)) return *idle;
      return tcp_timeout(flow.tcp, timeouts);
    case Protocol::udp:
      return flow.answered == 0 ? timeouts.udp_one_way : idle.value_or(timeouts.udp);
    case Protocol::icmp:
      break;
  }
  return timeouts.icmp_query;
}

FlowClass class_of(const FlowRecord& flow) {
  if (is_pseudo(flow)) return FlowClass::live;
  if (flow.protocol != Protocol::tcp) return flow.answered == 0 ? FlowClass::one_way : FlowClass::live;
  if (tcp_is_closed(flow.tcp.state)) return FlowClass::closed;
  return tcp_is_half_open(flow.tcp) ? FlowClass::half_open : FlowClass::live;
}

}  // namespace vipgate
