#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "runtime/worker_counters.h"

namespace vipgate {

/// Knows, on the control thread, how the workers are: what they have counted, and which of them no longer answers.
class WorkerMonitor {
 public:
  using Clock = std::chrono::steady_clock;  // which stands still while the machine sleeps, as the workers do
  /// Has a worker's answer called once, from whatever thread.
  using Ask = std::function<void(std::size_t worker, std::function<void(const WorkerCounters&)> answer)>;

  /// How long an answer may take. A worker answers between two batches of packets, so within a millisecond or so.
  static constexpr Clock::duration kStuckAfter = std::chrono::seconds(2);

  WorkerMonitor(boost::asio::io_context& context, std::size_t workers, Ask ask);

  /// To be called every second: asks all workers. A line for each that has stopped to answer, or answers again.
  std::vector<std::string> check(Clock::time_point now);

  /// Asks all workers, and calls `done` when they have answered, or soon all the same.
  void refresh(std::function<void()> done);

  /// Whoever waits is told what is known, at once: these workers will not answer any more.
  void finish();

  const std::vector<WorkerReport>& reports() const { return reports_; }
  bool has_stuck() const {
    return std::any_of(reports_.begin(), reports_.end(), [](const WorkerReport& report) { return report.stuck; });
  }

 private:
  void ask_all(Clock::time_point now);
  void take(std::size_t worker, const WorkerCounters& counters);

  boost::asio::io_context& context_;
  Ask ask_;
  std::vector<std::optional<Clock::time_point>> asked_;  ///< when, by worker, as long as there is no answer
  std::vector<WorkerReport> reports_;
  std::vector<std::function<void()>> waiting_;
  boost::asio::steady_timer patience_;
  std::shared_ptr<WorkerMonitor*> self_;  ///< answers that come after the end find nothing
};

}  // namespace vipgate
