#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "absl/status/status.h"
#include "device/steering.h"
#include "device/tun.h"
#include "runtime/capture/capture_source.h"
#include "runtime/estate.h"
#include "runtime/flow_storage.h"
#include "runtime/keeper.h"
#include "runtime/worker_monitor.h"
#include "runtime/worker_pool.h"
#include "vipgate/engine.h"

namespace vipgate {

/// What packets go through, as one thing: the TUN, the flows, the workers between them, and who watches over these. It
/// follows the rules that it is given and knows neither the configuration nor the rest of the kernel. To be used on the
/// control thread.
///
/// open_device(), open_flows(), prepare(), start(); and after a stop() again prepare() and start(), over the same
/// flows.
class DataPath {
 public:
  struct Options {
    std::string device;
    std::uint32_t workers = 1;
    bool offload = true;
  };
  /// `on_failure` is called, on the control thread, when a worker has lost its queue: once for all workers of a
  /// prepare().
  DataPath(boost::asio::io_context& context, Options options, std::function<void(const std::string&)> on_failure);

  /// Makes the TUN, attaches to the one that is there, or gets its queues from the keeper of a killed predecessor.
  absl::Status open_device();
  /// Whether open_device() has made it.
  bool made_device() const { return tun_->created(); }
  /// Has the keeper hold the queues, when the device is set up. Without a keeper all works; that is logged.
  void keep_queues();
  /// The same device anew when it was deleted; after stop().
  absl::Status make_device_anew();

  absl::Status open_flows(const FlowFileOptions& options);

  /// In place of open_device(): goes on with the device and the counters of a gateway that hands them over. Nothing is
  /// done to what it has set up.
  absl::Status take_over_device(Estate& estate);
  /// In place of open_flows().
  absl::Status take_over_flows(Estate& estate, const FlowFileOptions& options);
  /// What another process needs for these two; after stop().
  void hand_over(Estate& estate);
  /// After hand_over(), when the other process has failed; then prepare() and start().
  absl::Status take_back();
  /// Gives workers beyond the queues that were taken over a queue each, as soon as no packets of before wait any more.
  void widen();

  /// Makes the workers, which take over the flows that are there, and decide by `ruleset`; no packet moves yet. The
  /// ruleset must not have counted flows before.
  void prepare(const std::shared_ptr<const Ruleset>& ruleset);
  /// `realtime`: as Worker::start().
  void start(bool realtime);
  /// Every packet that was read has been written, and none is read from then on. Unavailable, when a worker is stuck:
  /// go_on(), or end.
  absl::Status stop();
  /// The last stop() has failed: this object can be destroyed only when the worker has come to itself.
  bool has_left_worker_behind() const { return left_behind_; }
  /// After stop(), when nobody else has touched the flows.
  void go_on();
  /// At the orderly end, after stop(): flows are as they shall be left, and nobody keeps the device any more.
  void end();

  void set_ruleset(const std::shared_ptr<const Ruleset>& ruleset);
  std::size_t workers() const { return options_.workers; }
  std::size_t max_flows() const { return storage_->memory().capacity; }

  /// As WorkerMonitor.
  std::vector<std::string> check() { return monitor_->check(WorkerMonitor::Clock::now()); }
  void refresh(std::function<void()> done) { monitor_->refresh(std::move(done)); }
  /// As Worker::show_engine(). A stuck worker shows nothing, and what it was to call is destroyed at the end.
  void show_engine(std::size_t worker, std::function<void(const Engine&)> look) {
    workers_->show_engine(worker, std::move(look));
  }
  /// As Worker::use_engine(); likewise.
  void use_engine(std::size_t worker, std::function<void(Engine&, PacketSink&)> use) {
    workers_->use_engine(worker, std::move(use));
  }
  /// Shows packets to a capture until untap(), whatever workers there are meanwhile.
  void tap(const TapSet& taps);
  void untap(const TapSet& taps);
  std::uint64_t seed() const { return storage_->file()->seed(); }
  /// By worker, with what earlier workers in its place have counted.
  std::vector<WorkerReport> reports() const;

  bool has_stuck_worker() const { return monitor_->has_stuck(); }

  void log_totals() const;

 private:
  void adopt_flows();
  void carry_counters();
  absl::Status steer(const Ruleset& ruleset);
  void try_to_steer(const Ruleset& ruleset);

  boost::asio::io_context& context_;
  Options options_;
  std::function<void(const std::string&)> on_failure_;
  Keeper keeper_;
  std::optional<TunDevice> tun_;
  std::optional<FlowStorage> storage_;
  std::optional<Steering> steering_;
  std::unique_ptr<WorkerPool> workers_;
  std::optional<WorkerMonitor> monitor_;
  std::vector<TapSet> taps_;             ///< of captures
  std::vector<WorkerCounters> carried_;  ///< by worker: what those before have counted
  std::uint64_t course_ = 0;             ///< counts prepare(): failures of earlier workers are old news
  bool prepared_before_ = false;         ///< by this process
  bool cannot_widen_ = false;            ///< which was said
  bool cannot_steer_ = false;            ///< likewise
  bool left_behind_ = false;             ///< a worker is stuck
};

}  // namespace vipgate
