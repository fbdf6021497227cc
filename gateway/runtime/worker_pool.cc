#include "runtime/worker_pool.h"

#include <future>

#include <utility>

namespace vipgate {

WorkerPool::WorkerPool(TunDevice& tun, const FlowMemory& memory, std::uint64_t seed,
                       const std::shared_ptr<const Ruleset>& ruleset,
                       const std::function<void(std::string)>& on_failure)
    : hand_off_(tun.queues().size()) {
  const auto count = static_cast<std::uint32_t>(tun.queues().size());
  for (std::uint32_t i = 0; i < count; ++i) {
    const EngineOptions options{.worker = i, .workers = count, .seed = seed, .memory = memory};
    workers_.push_back(std::make_unique<Worker>(tun.queues()[i], options, ruleset, hand_off_, workers_, on_failure));
  }
}

Adoption WorkerPool::adopt(Time now) {
  std::vector<std::future<Adoption>> parts;
  parts.reserve(workers_.size());
  for (const auto& worker : workers_) {
    parts.push_back(std::async(std::launch::async, [&worker, now] { return worker->adopt(now); }));
  }
  Adoption sum;
  for (auto& part : parts) sum.add(part.get());
  return sum;
}

void WorkerPool::start() {
  for (const auto& worker : workers_) worker->start();
}

void WorkerPool::stop() {
  for (const auto& worker : workers_) worker->stop();
}

void WorkerPool::set_ruleset(const std::shared_ptr<const Ruleset>& ruleset) {
  for (const auto& worker : workers_) worker->set_ruleset(ruleset);
}

void WorkerPool::ask(std::size_t worker, std::function<void(const WorkerCounters&)> answer) {
  workers_[worker]->ask(std::move(answer));
}

WorkerCounters WorkerPool::counters() const {
  WorkerCounters sum;
  for (const auto& worker : workers_) sum.add(worker->counters());
  return sum;
}

}  // namespace vipgate
