#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vipgate/flow_info.h"

namespace vipgate {

/// Where a walk over all flows has come to.
struct FlowPosition {
  std::size_t worker = 0;
  std::uint64_t at = 0;  ///< Engine::list()

  std::string to_string() const;
  static std::optional<FlowPosition> parse(const std::string& text);
};

/// Which flows are asked for. What is not set, or empty, may be anything.
struct FlowFilter {
  std::optional<Ipv4Prefix> address;  ///< of any end, before or after translation
  std::optional<std::uint16_t> port;  ///< likewise
  std::optional<Protocol> protocol;
  std::string service;
  std::string backend;  ///< name
  std::string state;    ///< as FlowInfo has it

  bool matches(const FlowInfo& flow) const;
  bool operator==(const FlowFilter&) const = default;
};

struct FlowQuery {
  FlowFilter filter;
  FlowPosition from;
  std::size_t limit = 1000;  ///< a page has no more than this and kFlowsPerLook (flow_walk.h)
};

/// A flow that was found, with names that stay.
struct FoundFlow {
  FlowInfo flow;  ///< `service` and `backend` are not set
  std::string service;
  std::string backend;
};
struct FlowPage {
  std::vector<FoundFlow> flows;
  std::optional<FlowPosition> next;  ///< none: these were the last
};

/// What came of ending flows.
struct EndedFlows {
  std::size_t flows = 0;
  std::optional<FlowPosition> next;  ///< where to go on; none: all were looked at
};

}  // namespace vipgate
