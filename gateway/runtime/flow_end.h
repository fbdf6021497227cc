#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>

#include "absl/status/statusor.h"
#include "runtime/flow_query.h"
#include "runtime/flow_walk.h"
#include "vipgate/engine.h"

namespace vipgate {

/// Flows that a worker ends while its packets wait, with two RSTs each: some 100 µs.
inline constexpr std::size_t kEndsPerStep = 16;

/// Ends the flows that a filter picks.
class FlowEnd final : public FlowWalk {
 public:
  using UseEngine = std::function<void(std::size_t worker, std::function<void(Engine&, PacketSink&)> use)>;
  using Done = std::function<void(absl::StatusOr<EndedFlows>)>;

  /// How long it may take; there are more to end then.
  static constexpr auto kPatience = std::chrono::seconds(2);

  /// `done` is told how many, or Unavailable when a worker does not answer.
  FlowEnd(boost::asio::io_context& context, std::size_t workers, UseEngine use_engine, FlowFilter filter,
          FlowPosition from, Done done);

 private:
  void step(FlowPosition from, std::function<void(std::optional<std::uint64_t>)> done) override;
  bool has_enough() const override { return false; }
  void finish(absl::StatusOr<std::optional<FlowPosition>> end) override;

  UseEngine use_engine_;
  FlowFilter filter_;
  Done done_;
  std::size_t ended_ = 0;
};

}  // namespace vipgate
