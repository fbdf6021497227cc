#include "runtime/worker_monitor.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>

#include "absl/strings/str_cat.h"

namespace vipgate {
namespace {

/// How long whoever asks waits for workers that do not answer.
constexpr auto kPatience = std::chrono::milliseconds(200);

}  // namespace

WorkerMonitor::WorkerMonitor(boost::asio::io_context& context, std::size_t workers, Ask ask)
    : context_(context),
      ask_(std::move(ask)),
      asked_(workers),
      reports_(workers),
      patience_(context),
      self_(std::make_shared<WorkerMonitor*>(this)) {}

std::vector<std::string> WorkerMonitor::check(Clock::time_point now) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    const bool stuck = asked_[i] && now - *asked_[i] >= kStuckAfter;
    if (stuck == reports_[i].stuck) continue;
    reports_[i].stuck = stuck;
    lines.push_back(stuck ? absl::StrCat("worker ", i, " is stuck: it has not answered for ",
                                         std::chrono::duration_cast<std::chrono::seconds>(kStuckAfter).count(),
                                         " s; its flows wait, those of the other workers go on")
                          : absl::StrCat("worker ", i, " answers again"));
  }
  ask_all(now);
  return lines;
}

void WorkerMonitor::refresh(std::function<void()> done) {
  waiting_.push_back(std::move(done));
  ask_all(Clock::now());
  if (waiting_.size() > 1) return;  // the timer runs
  patience_.expires_after(kPatience);
  patience_.async_wait([this](const boost::system::error_code& error) {
    if (!error) finish();
  });
}

/// One question a worker at a time: a stuck one's mailbox must not fill up.
void WorkerMonitor::ask_all(Clock::time_point now) {
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    if (asked_[i]) continue;
    asked_[i] = now;
    ask_(i, [this_context = &context_, weak = std::weak_ptr(self_), i](const WorkerCounters& counters) {
      boost::asio::post(*this_context, [weak, i, counters] {
        if (const auto self = weak.lock()) (*self)->take(i, counters);
      });
    });
  }
}

void WorkerMonitor::take(std::size_t worker, const WorkerCounters& counters) {
  asked_[worker].reset();
  reports_[worker].counters = counters;
  const bool all = std::none_of(asked_.begin(), asked_.end(), [](const auto& asked) { return asked.has_value(); });
  if (all && !waiting_.empty()) finish();
}

void WorkerMonitor::finish() {
  patience_.cancel();
  for (const auto& done : std::exchange(waiting_, {})) done();
}

}  // namespace vipgate
