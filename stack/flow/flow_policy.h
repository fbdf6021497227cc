#pragma once

#include <optional>

#include "flow/flow_record.h"
#include "vipgate/rules.h"

namespace vipgate {

/// How long a helper's data connection is awaited (Linux's nf_conntrack_ftp: 5 minutes).
inline constexpr Duration kExpectationTimeout = std::chrono::minutes(5);
/// A mapping ends with its last flow; the wheel looks at it as seldom as it can.
inline constexpr Duration kMappingLook = std::chrono::hours(24 * 365);

/// Mappings and expectations: no packet belongs to them, and they end with what they serve.
constexpr bool is_pseudo(const FlowRecord& flow) {
  return flow.kind == FlowKind::mapping || flow.kind == FlowKind::expectation;
}

/// How long the flow may be silent in its present state. `idle` replaces the timeout of flows that are fully set up.
Duration timeout_of(const FlowRecord& flow, const Timeouts& timeouts, std::optional<Duration> idle);

/// Of a flow's state, all that the two below depend on.
struct FlowStanding {
  TcpState state = TcpState::none;
  bool whole = false;  ///< TCP: both sides were heard. Others: a reply was

  bool operator==(const FlowStanding&) const = default;
};
inline FlowStanding standing_of(const FlowRecord& flow) {
  if (flow.protocol != Protocol::tcp) return {TcpState::none, flow.answered != 0};
  return {flow.tcp.state, !tcp_is_one_sided(flow.tcp)};
}

/// What the flow is worth when room is needed, by its present state.
FlowClass class_of(const FlowRecord& flow);

}  // namespace vipgate
