#include "runtime/data_path.h"

#include <fcntl.h>

#include <chrono>
#include <utility>

#include <boost/asio/post.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "device/tun_writer.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace vipgate {

DataPath::DataPath(boost::asio::io_context& context, Options options,
                   std::function<void(const std::string&)> on_failure)
    : context_(context),
      options_(std::move(options)),
      on_failure_(std::move(on_failure)),
      keeper_(options_.device),
      carried_(options_.workers) {}

absl::Status DataPath::open_device() {
  auto tun = TunDevice::open(
      {.name = options_.device, .queues = options_.workers, .offload = options_.offload, .kept = [this] {
         return keeper_.take_over();
       }});
  if (!tun.ok()) return tun.status();
  tun_.emplace(*std::move(tun));
  const char* origin = tun_->created() ? "created " : tun_->kept() > 0 ? "took over " : "found ";
  log_info(absl::StrCat(origin, tun_->name(), " with ", options_.workers, options_.workers == 1 ? " queue" : " queues",
                        tun_->offload() == 0 ? ", offload off" : ", offload on"));
  return absl::OkStatus();
}

void DataPath::keep_queues() {
  std::vector<int> queues;
  for (const TunQueue& queue : tun_->queues()) queues.push_back(queue.fd());
  const absl::Status status = keeper_.hold(queues);
  if (!status.ok()) {
    log_warning(absl::StrCat("nobody keeps ", tun_->name(),
                             " open: when this process is killed, it loses its carrier (",
                             std::string(status.message()), ")"));
  }
}

absl::Status DataPath::make_device_anew() {
  carry_counters();
  workers_.reset();  // they wait for queues that are closed now
  return tun_->make_anew();
}

absl::Status DataPath::open_flows(const FlowFileOptions& options) {
  auto file = FlowFile::open(options);
  if (!file.ok()) return file.status();
  auto storage = FlowStorage::over(*std::move(file));
  if (!storage.ok()) return storage.status();
  storage_.emplace(*std::move(storage));
  return absl::OkStatus();
}

absl::Status DataPath::take_over_device(Estate& estate) {
  auto tun = TunDevice::adopt({.name = options_.device, .queues = options_.workers, .offload = options_.offload},
                              std::move(estate.device_lock), std::move(estate.queues));
  if (!tun.ok()) return tun.status();
  tun_.emplace(*std::move(tun));
  if (estate.keeper) keeper_.take_over(std::move(estate.keeper));
  for (std::size_t i = 0; i < estate.workers.size(); ++i) carried_[i % carried_.size()].add(estate.workers[i]);
  log_info(absl::StrCat("took over ", tun_->name(), " with ", tun_->queues().size(),
                        tun_->queues().size() == 1 ? " queue" : " queues", " from the running gateway",
                        tun_->offload() == 0 ? ", offload off" : ", offload on"));
  return absl::OkStatus();
}

absl::Status DataPath::take_over_flows(Estate& estate, const FlowFileOptions& options) {
  auto file = FlowFile::take_over(std::move(estate.flows), options);
  if (!file.ok()) return file.status();
  auto storage = FlowStorage::over(*std::move(file));
  if (!storage.ok()) return storage.status();
  storage_.emplace(*std::move(storage));
  return absl::OkStatus();
}

void DataPath::hand_over(Estate& estate) {
  estate.workers = carried_;
  const std::vector<WorkerCounters> counters = workers_->counters();
  for (std::size_t i = 0; i < counters.size(); ++i) estate.workers[i].add(counters[i]);
  storage_->file()->end();
  estate.device_lock = duplicate(tun_->lock());
  estate.flows = duplicate(storage_->file()->descriptor());
  estate.keeper = duplicate(keeper_.connection());
  for (const TunQueue& queue : tun_->queues()) {
    estate.queues.emplace_back(::fcntl(queue.fd(), F_DUPFD_CLOEXEC, 0));
  }
}

absl::Status DataPath::take_back() {
  storage_->file()->go_on();
  return tun_->configure_again();
}

void DataPath::widen() {
  const std::size_t before = tun_->queues().size();
  if (before >= options_.workers || cannot_widen_) return;
  if (const absl::Status status = tun_->widen(options_.workers); !status.ok()) {
    cannot_widen_ = true;
    log_warning(absl::StrCat("workers without a queue get their packets from others: ", std::string(status.message())));
  }
  for (std::size_t i = before; i < tun_->queues().size(); ++i) workers_->add_queue(i, tun_->queues()[i]);
  keep_queues();
}

void DataPath::prepare(const std::shared_ptr<const Ruleset>& ruleset) {
  carry_counters();
  workers_.reset();
  if (prepared_before_) storage_->clear_index();
  workers_ = std::make_unique<WorkerPool>(*tun_, options_.workers, storage_->memory(), storage_->file()->seed(),
                                          ruleset, [this, course = ++course_](const std::string& what) {
                                            boost::asio::post(context_, [this, course, what] {
                                              if (course != course_) return;
                                              ++course_;
                                              on_failure_(what);
                                            });
                                          });
  for (const TapSet& taps : taps_) {
    for (std::size_t i = 0; i < taps.size(); ++i) workers_->tap(i, taps[i]);
  }
  if (monitor_) monitor_->finish();
  monitor_.emplace(context_, workers_->size(),
                   [this](std::size_t worker, auto answer) { workers_->ask(worker, std::move(answer)); });
  if (const absl::Status at_once = TunWriter::check(); !at_once.ok() && !prepared_before_) {
    log_info(absl::StrCat("each packet is written by a system call of its own: ", std::string(at_once.message())));
  }
  if (storage_->file()->is_used() || prepared_before_) adopt_flows();
  prepared_before_ = true;
  try_to_steer(*ruleset);
}

void DataPath::tap(const TapSet& taps) {
  taps_.push_back(taps);
  for (std::size_t i = 0; i < taps.size(); ++i) workers_->tap(i, taps[i]);
}

void DataPath::untap(const TapSet& taps) {
  std::erase(taps_, taps);
  for (std::size_t i = 0; workers_ && i < taps.size(); ++i) workers_->untap(i, taps[i]);
}

void DataPath::set_ruleset(const std::shared_ptr<const Ruleset>& ruleset) {
  workers_->set_ruleset(ruleset);
  try_to_steer(*ruleset);
}

/// Without it all works, too: workers hand packets over to each other.
void DataPath::try_to_steer(const Ruleset& ruleset) {
  if (options_.workers == 1 || cannot_steer_) return;
  const absl::Status status = steer(ruleset);
  if (status.ok()) return;
  cannot_steer_ = true;
  (void)tun_->steer(-1);
  log_warning(absl::StrCat("packets go from worker to worker: ", std::string(status.message())));
}

absl::Status DataPath::steer(const Ruleset& ruleset) {
  if (!steering_) {
    absl::StatusOr<Steering> loaded = Steering::load();
    if (!loaded.ok()) return loaded.status();
    steering_.emplace(*std::move(loaded));
  }
  if (absl::Status status = steering_->follow(steering_table(ruleset, storage_->file()->seed())); !status.ok())
    return status;
  return tun_->steer(steering_->program());
}

void DataPath::adopt_flows() {
  const FlowFile& file = *storage_->file();
  const Time began = boot_time_now();
  const Adoption adopted = workers_->adopt(began);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(boot_time_now() - began);
  const std::string flows = absl::StrCat(adopted.flows, adopted.flows == 1 ? " flow" : " flows");
  if (prepared_before_) {
    log_info(absl::StrCat("went on with ", flows, " after ", took.count(), " ms"));
  } else {
    log_info(absl::StrCat("took over ", flows, " from ", file.path(), " in ", took.count(), " ms; the last process ",
                          file.was_ended() ? "had ended in order" : "was killed"));
  }
  if (adopted.broken > 0) log_warning(absl::StrCat(adopted.broken, " of its records were broken, and are gone"));
}

void DataPath::start(bool realtime) {
  workers_->start(realtime);
}

absl::Status DataPath::stop() {
  if (!workers_) return absl::OkStatus();
  const std::vector<std::size_t> stuck = workers_->stop();
  left_behind_ = !stuck.empty();
  if (stuck.empty()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(stuck.size() == 1 ? "worker " : "workers ", absl::StrJoin(stuck, ", "),
                                             stuck.size() == 1 ? " is" : " are", " stuck and did not stop within ",
                                             WorkerPool::kPatience.count(), " s"));
}

void DataPath::go_on() {
  left_behind_ = false;
  workers_->go_on();
}

void DataPath::end() {
  // With a worker left behind, flows are as after a kill.
  if (!left_behind_ && storage_) storage_->file()->end();
  keeper_.dismiss();
}

/// The workers that have stopped count no more.
void DataPath::carry_counters() {
  if (!workers_) return;
  const std::vector<WorkerCounters> counters = workers_->counters();
  for (std::size_t i = 0; i < counters.size(); ++i) {
    carried_[i].add(counters[i]);
    carried_[i].flows = 0;  // that is no count of what was
  }
}

std::vector<WorkerReport> DataPath::reports() const {
  std::vector<WorkerReport> reports = monitor_->reports();
  for (std::size_t i = 0; i < reports.size(); ++i) reports[i].counters.add(carried_[i]);
  return reports;
}

void DataPath::log_totals() const {
  WorkerCounters totals;
  for (const WorkerCounters& worker : carried_) totals.add(worker);
  if (workers_) {
    for (const WorkerCounters& worker : workers_->counters()) totals.add(worker);
  }
  std::string line =
      absl::StrCat("totals: packets read ", totals.packets_read, " (", totals.super_packets_read,
                   " super-packets), written ", totals.packets_written, ", bytes read ", totals.bytes_read,
                   ", flows opened ", totals.engine.flows_opened, ", evicted ", totals.engine.flows_evicted,
                   ", handed off ", totals.engine.actions[static_cast<std::size_t>(Action::hand_off)]);
  if (totals.hand_off_full > 0) absl::StrAppend(&line, ", lost between workers ", totals.hand_off_full);
  if (totals.write_failures > 0) absl::StrAppend(&line, ", refused by the TUN ", totals.write_failures);
  for (std::size_t i = 1; i < kReasonCount; ++i) {
    if (totals.engine.reasons[i] == 0) continue;
    absl::StrAppend(&line, ", ", std::string(name_of(static_cast<Reason>(i))), " ", totals.engine.reasons[i]);
  }
  log_info(line);
}

}  // namespace vipgate
