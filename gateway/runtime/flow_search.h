#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/flow_walk.h"
#include "vipgate/engine.h"
#include "vipgate/flow_info.h"

namespace vipgate {

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
  std::size_t limit = 1000;  ///< a page has no more than this and kFlowsPerLook
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

/// Looks for flows.
class FlowSearch final : public FlowWalk {
 public:
  using ShowEngine = std::function<void(std::size_t worker, std::function<void(const Engine&)> look)>;
  using Done = std::function<void(absl::StatusOr<FlowPage>)>;

  /// How long a page may take; it is shorter then.
  static constexpr auto kPatience = std::chrono::milliseconds(500);

  /// `done` gets a page, or Unavailable when a worker does not answer.
  FlowSearch(boost::asio::io_context& context, std::size_t workers, ShowEngine show_engine, FlowQuery query, Done done);

 private:
  void step(FlowPosition from, std::function<void(std::optional<std::uint64_t>)> done) override;
  bool has_enough() const override { return page_.flows.size() >= query_.limit; }
  void finish(absl::StatusOr<std::optional<FlowPosition>> end) override;

  ShowEngine show_engine_;
  FlowQuery query_;
  Done done_;
  FlowPage page_;
};

}  // namespace vipgate
