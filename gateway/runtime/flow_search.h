#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "absl/status/statusor.h"
#include "runtime/flow_query.h"
#include "runtime/flow_walk.h"
#include "vipgate/engine.h"

namespace vipgate {

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
