#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "absl/status/statusor.h"
#include "runtime/flow_query.h"

namespace vipgate {

/// Records that a worker looks at while its packets wait: some 50 µs.
inline constexpr std::size_t kFlowsPerLook = 1024;

/// Goes over the flows of all workers, one worker after the other and a little at a time: after each step packets have
/// their turn.
class FlowWalk : public std::enable_shared_from_this<FlowWalk> {
 public:
  virtual ~FlowWalk() = default;
  FlowWalk(const FlowWalk&) = delete;
  FlowWalk& operator=(const FlowWalk&) = delete;

  /// Calls finish() on the context's thread.
  void start();

 protected:
  /// `patience`: after that long it ends where it is. A worker that has not answered twice as long is stuck.
  FlowWalk(boost::asio::io_context& context, std::size_t workers, FlowPosition from,
           std::chrono::milliseconds patience);

  /// Has the worker take a step. Calls `done` from the worker's thread, with where to go on; none: it has no more
  /// flows.
  virtual void step(FlowPosition from, std::function<void(std::optional<std::uint64_t>)> done) = 0;
  virtual bool has_enough() const = 0;
  /// Where to go on, none: that was all; or Unavailable: a worker does not answer. Its step may come later still.
  virtual void finish(absl::StatusOr<std::optional<FlowPosition>> end) = 0;

 private:
  void go_on();
  void end(absl::StatusOr<std::optional<FlowPosition>> result);

  boost::asio::io_context& context_;
  std::size_t workers_;
  FlowPosition position_;
  std::chrono::milliseconds patience_;
  std::chrono::steady_clock::time_point began_;
  boost::asio::steady_timer timer_;
  bool ended_ = false;
};

}  // namespace vipgate
