#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "device/tun.h"
#include "runtime/hand_off.h"
#include "runtime/worker.h"
#include "vipgate/engine.h"

namespace vipgate {

/// All workers of a gateway, one for each queue of its TUN, and what they share.
class WorkerPool {
 public:
  /// `on_failure` is called from a worker's thread when its queue can no longer be used.
  WorkerPool(TunDevice& tun, const FlowMemory& memory, std::uint64_t seed,
             const std::shared_ptr<const Ruleset>& ruleset, const std::function<void(std::string)>& on_failure);

  /// Takes over the flows that an earlier process left, all workers at the same time; before start().
  Adoption adopt(Time now);
  void start();
  void stop();
  void set_ruleset(const std::shared_ptr<const Ruleset>& ruleset);
  /// Calls `answer` from the worker's thread.
  void ask(std::size_t worker, std::function<void(const WorkerCounters&)> answer);
  std::size_t size() const { return workers_.size(); }

  /// The sum over all workers, to be called after stop().
  WorkerCounters counters() const;

 private:
  HandOff hand_off_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace vipgate
