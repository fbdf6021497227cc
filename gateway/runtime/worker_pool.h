#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "device/tun.h"
#include "runtime/hand_off.h"
#include "runtime/worker.h"
#include "vipgate/engine.h"

namespace vipgate {

/// All workers of a gateway, which share the queues of its TUN, mostly one each, and what else they share.
class WorkerPool {
 public:
  /// How long a worker may take to stop; it is stuck then (WorkerMonitor).
  static constexpr std::chrono::seconds kPatience{2};

  /// `on_failure` is called from a worker's thread when its queue can no longer be used.
  WorkerPool(TunDevice& tun, std::uint32_t workers, const FlowMemory& memory, std::uint64_t seed,
             const std::shared_ptr<const Ruleset>& ruleset, const std::function<void(std::string)>& on_failure);

  /// Takes over the flows that an earlier process left, all workers at the same time; before start().
  Adoption adopt(Time now);
  /// `realtime`: as Worker::start().
  void start(bool realtime);
  /// Has all workers stop, with every packet written that one of them has read. Which of them are stuck: they have not
  /// stopped, and the pool can be destroyed only when they have.
  std::vector<std::size_t> stop(std::chrono::milliseconds patience = kPatience);
  /// After stop(), whatever it returned.
  void go_on();
  /// Gives a queue that was attached later to a worker that has none.
  void add_queue(std::size_t worker, TunQueue& queue) { workers_[worker]->add_queue(queue); }
  void set_ruleset(const std::shared_ptr<const Ruleset>& ruleset);
  /// Calls `answer` from the worker's thread.
  void ask(std::size_t worker, std::function<void(const WorkerCounters&)> answer);
  /// As Worker::show_engine().
  void show_engine(std::size_t worker, std::function<void(const Engine&)> look) {
    workers_[worker]->show_engine(std::move(look));
  }
  void use_engine(std::size_t worker, std::function<void(Engine&, PacketSink&)> use) {
    workers_[worker]->use_engine(std::move(use));
  }
  /// As Worker::tap() and Worker::untap().
  void tap(std::size_t worker, std::shared_ptr<CaptureTap> tap) { workers_[worker]->tap(std::move(tap)); }
  void untap(std::size_t worker, std::shared_ptr<CaptureTap> tap) { workers_[worker]->untap(std::move(tap)); }
  std::size_t size() const { return workers_.size(); }

  /// By worker, to be called after stop().
  std::vector<WorkerCounters> counters() const;

 private:
  HandOff hand_off_;
  WakeTrials wake_trials_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace vipgate
