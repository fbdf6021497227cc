#include "runtime/worker_pool.h"

#include <future>

#include <utility>

namespace vipgate {

WorkerPool::WorkerPool(TunDevice& tun, std::uint32_t workers, const FlowMemory& memory, std::uint64_t seed,
                       const std::shared_ptr<const Ruleset>& ruleset,
                       const std::function<void(std::string)>& on_failure)
    : hand_off_(workers) {
  for (std::uint32_t i = 0; i < workers; ++i) {
    const EngineOptions options{.worker = i, .workers = workers, .seed = seed, .memory = memory};
    std::vector<TunQueue*> inputs;
    for (std::size_t queue = i; queue < tun.queues().size(); queue += workers) inputs.push_back(&tun.queues()[queue]);
    TunQueue& output = tun.queues()[i % tun.queues().size()];
    workers_.push_back(std::make_unique<Worker>(inputs, output, options, ruleset, tun.coalescing(), hand_off_,
                                                wake_trials_, workers_, on_failure));
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

void WorkerPool::start(bool realtime) {
  for (const auto& worker : workers_) worker->start(realtime);
}

std::vector<std::size_t> WorkerPool::stop(std::chrono::milliseconds patience) {
  const auto deadline = Worker::Clock::now() + patience;
  std::vector<std::size_t> stuck;
  for (const auto& worker : workers_) worker->ask_to_stop();
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (!workers_[i]->wait_until_stopped(deadline)) stuck.push_back(i);
  }
  if (!stuck.empty()) return stuck;
  // What one has read for another, who had stopped by then. A datagram put together from it may go to a third.
  bool more = true;
  while (more) {
    more = false;
    for (const auto& worker : workers_) more |= worker->take_handed_off() > 0;
  }
  return stuck;
}

void WorkerPool::go_on() {
  for (const auto& worker : workers_) worker->go_on();
}

void WorkerPool::set_ruleset(const std::shared_ptr<const Ruleset>& ruleset) {
  for (const auto& worker : workers_) worker->set_ruleset(ruleset);
}

void WorkerPool::ask(std::size_t worker, std::function<void(const WorkerCounters&)> answer) {
  workers_[worker]->ask(std::move(answer));
}

std::vector<WorkerCounters> WorkerPool::counters() const {
  std::vector<WorkerCounters> counters;
  for (const auto& worker : workers_) counters.push_back(worker->counters());
  return counters;
}

}  // namespace vipgate
