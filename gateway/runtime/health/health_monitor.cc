#include "runtime/health/health_monitor.h"

#include <sys/resource.h>

#include <algorithm>
#include <map>
#include <utility>
#include <variant>

#include <boost/asio/steady_timer.hpp>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "runtime/clock.h"

namespace vipgate {
namespace {

using Clock = std::chrono::steady_clock;  // stands still while the machine sleeps, as its connections do

/// A check's next turn comes after so much of the interval, at random.
constexpr double kEarliest = 0.9;

std::size_t default_checks() {
  constexpr rlim_t kFewest = 16;
  constexpr rlim_t kMost = 2048;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return kFewest;
  return std::clamp(files.rlim_cur / 4, kFewest, kMost);
}

Duration scaled(Duration duration, double factor) {
  return Duration(static_cast<Duration::rep>(static_cast<double>(duration.count()) * factor));
}

/// "35s", "1m20s": to the second where it is more than that.
std::string to_text(Duration duration) {
  absl::Duration rounded = absl::FromChrono(duration);
  if (rounded >= absl::Seconds(1)) rounded = absl::Trunc(rounded, absl::Seconds(1));
  return absl::FormatDuration(absl::Trunc(rounded, absl::Milliseconds(1)));
}

}  // namespace

struct HealthMonitor::Target : std::enable_shared_from_this<HealthMonitor::Target> {
  Target(boost::asio::io_context& context, const Named& named, Health known)
      : spec(named.target), name(named.name), timer(context), health(begin(named.target.check, known)) {}

  static std::variant<CheckedHealth, WatchedHealth> begin(const HealthCheck& check, Health known) {
    const Time now = boot_time_now();
    if (check.type == HealthType::none) return WatchedHealth({check.fall, check.interval}, now);
    return CheckedHealth({check.rise, check.fall}, known, now);
  }

  Health state() const {
    return std::visit([](const auto& one) { return one.state(); }, health);
  }
  CheckedHealth* checked() { return std::get_if<CheckedHealth>(&health); }
  WatchedHealth* watched() { return std::get_if<WatchedHealth>(&health); }

  HealthTarget spec;
  std::string name;
  Id id = 0;
  boost::asio::steady_timer timer;  ///< of the next check, of the end of the one under way, or of a pause
  std::uint64_t turn = 0;           ///< what was waited for before the last one comes too late
  bool queued = false;
  std::shared_ptr<RunningCheck> running;
  Clock::time_point begun{};  ///< the last check
  std::variant<CheckedHealth, WatchedHealth> health;
  std::optional<CheckResult> last;
  Duration latency{};
  std::uint64_t checks = 0;
  std::uint64_t failures = 0;
};

HealthMonitor::HealthMonitor(boost::asio::io_context& context, Options options, std::function<void(Id)> changed,
                             HealthLog::Write write)
    : context_(context),
      changed_(std::move(changed)),
      log_(context, std::move(write)),
      pinger_(context),
      checks_{.limit = options.max_checks == 0 ? default_checks() : options.max_checks},
      programs_{.limit = options.max_programs},
      known_down_(std::move(options.down)) {}

HealthMonitor::~HealthMonitor() {
  for (const auto& target : targets_) {
    if (target->running) target->running->cancel();
  }
}

void HealthMonitor::set_targets(const std::vector<Named>& targets) {
  std::map<HealthTarget, std::shared_ptr<Target>> before;
  std::set<Endpoint> known_down = down();
  known_down.merge(std::exchange(known_down_, {}));
  for (auto& target : targets_) before.emplace(target->spec, std::move(target));
  targets_.clear();
  std::vector<Target*> fresh;
  for (const Named& named : targets) {
    std::shared_ptr<Target> target;
    if (auto found = before.extract(named.target)) {
      target = std::move(found.mapped());
      target->name = named.name;
    } else {
      const Health known = known_down.contains(named.target.backend) ? Health::down : Health::up;
      target = std::make_shared<Target>(context_, named, known);
      fresh.push_back(target.get());
    }
    target->id = targets_.size();
    targets_.push_back(std::move(target));
  }
  for (const auto& [spec, target] : before) stop(*target);

  for (Target* target : fresh) {
    if (target->checked() == nullptr) continue;
    const Duration longest = std::min<Duration>(target->spec.check.interval, kFirstSpread * fresh.size());
    wait(*target, Clock::now() + scaled(longest, random(0, 1)), &HealthMonitor::be_due);
  }
  start_waiting(checks_);
  start_waiting(programs_);
}

void HealthMonitor::suspect(Id id, std::uint64_t refused) {
  Target& target = *targets_.at(id);
  if (WatchedHealth* watched = target.watched()) {
    const Time now = boot_time_now();
    if (refused == 0 || !watched->take(refused, now)) return;
    const Duration pause = *watched->down_until() - now;
    wait(target, Clock::now() + pause, &HealthMonitor::try_again);
    log_.add(HealthEvent::down, absl::StrCat("backend ", target.name, " is down: ICMP says that nobody is there; ",
                                             "it is tried again in ", to_text(pause)));
    changed_(id);
    return;
  }
  if (target.running || target.queued || Clock::now() - target.begun < kSuspectPause) return;
  be_due(target);
}

Health HealthMonitor::state(Id id) const {
  return targets_.at(id)->state();
}

HealthReport HealthMonitor::report(Id id) const {
  Target& target = *targets_.at(id);
  HealthReport report{.name = target.name, .target = target.spec, .state = target.state()};
  report.last = target.last;
  report.latency = target.latency;
  report.checks = target.checks;
  report.failures = target.failures;
  if (const CheckedHealth* checked = target.checked()) {
    report.since = checked->since();
    if (checked->state() != Health::up && checked->held_until() > boot_time_now())
      report.held_until = checked->held_until();
  } else {
    report.since = target.watched()->since();
    report.held_until = target.watched()->down_until();
  }
  return report;
}

std::set<Endpoint> HealthMonitor::down() const {
  std::set<Endpoint> all;
  for (const auto& target : targets_) {
    if (target->checked() != nullptr && target->state() != Health::up) all.insert(target->spec.backend);
  }
  return all;
}

/// Whatever the target waited for before is forgotten.
void HealthMonitor::wait(Target& target, Clock::time_point until, Handler then) {
  target.timer.expires_at(until);
  target.timer.async_wait(
      [this, weak = target.weak_from_this(), turn = ++target.turn, then](const boost::system::error_code& error) {
        const auto waited = weak.lock();
        if (!error && waited && waited->turn == turn) (this->*then)(*waited);
      });
}

void HealthMonitor::be_due(Target& target) {
  target.timer.cancel();
  ++target.turn;
  Lane& lane = lane_of(target);
  if (lane.running < lane.limit) return start(target);
  target.queued = true;
  lane.waiting.push_back(target.weak_from_this());
}

void HealthMonitor::start(Target& target) {
  ++lane_of(target).running;
  target.begun = Clock::now();
  wait(target, target.begun + target.spec.check.timeout, &HealthMonitor::time_out);
  target.running =
      start_check(target, [this, weak = target.weak_from_this(), turn = target.turn](const CheckResult& result) {
        const auto checked = weak.lock();
        if (checked && checked->turn == turn) finish(*checked, result);
      });
}

std::shared_ptr<RunningCheck> HealthMonitor::start_check(Target& target, CheckDone done) {
  const HealthTarget& spec = target.spec;
  switch (spec.check.type) {
    case HealthType::http:
      return start_http_check(context_, spec.backend, spec.check, std::move(done));
    case HealthType::ping:
      return pinger_.start(spec.backend.address, std::move(done));
    case HealthType::exec:
      return start_exec_check(context_, spec.backend, spec.check, spec.service, std::move(done));
    case HealthType::tcp:
    case HealthType::none:  // has no turns
      break;
  }
  return start_tcp_check(context_, spec.backend, std::move(done));
}

void HealthMonitor::time_out(Target& target) {
  const std::string what = target.running->cancel();
  finish(target, {CheckVerdict::failed, absl::StrCat(what, " after ", to_text(target.spec.check.timeout))});
}

void HealthMonitor::finish(Target& target, const CheckResult& result) {
  const auto now = Clock::now();
  target.running.reset();
  --lane_of(target).running;
  target.latency = now - target.begun;
  ++target.checks;
  const Duration pause = scaled(target.spec.check.interval, random(kEarliest, 1));
  wait(target, std::max(now, target.begun + pause), &HealthMonitor::be_due);
  judge(target, result);
  start_waiting(lane_of(target));
}

void HealthMonitor::judge(Target& target, const CheckResult& result) {
  const bool was_unknown = target.last && target.last->verdict == CheckVerdict::unknown;
  target.last = result;
  if (result.verdict == CheckVerdict::unknown) {
    if (!was_unknown) {
      log_.add(HealthEvent::unknown, absl::StrCat("the check of backend ", target.name, " ", result.reason));
    }
    return;
  }
  CheckedHealth& health = *target.checked();
  const Health before = health.state();
  const Time since = health.since();
  const Time now = boot_time_now();
  if (result.verdict == CheckVerdict::failed) ++target.failures;
  if (!(result.verdict == CheckVerdict::passed ? health.passed(now) : health.failed(now))) return;
  if (health.state() == Health::up) {
    log_.add(HealthEvent::up,
             absl::StrCat("backend ", target.name, " is up again: ", result.reason, ", after ", to_text(now - since)));
  } else if (before == Health::up) {
    std::string line = absl::StrCat("backend ", target.name, " is down: ", result.reason, ", after ", health.in_a_row(),
                                    health.in_a_row() == 1 ? " failed check" : " failed checks");
    const Duration hold = health.held_until() - now;
    if (hold > Duration{}) absl::StrAppend(&line, "; it flaps, and is not trusted for ", to_text(hold));
    log_.add(HealthEvent::down, line);
  }
  changed_(target.id);
}

void HealthMonitor::try_again(Target& target) {
  const Time since = target.watched()->since();
  const Time now = boot_time_now();
  // The two clocks drift apart by what the machine slept, which only makes the pause longer.
  if (!target.watched()->try_again(now)) {
    wait(target, Clock::now() + (*target.watched()->down_until() - now), &HealthMonitor::try_again);
    return;
  }
  log_.add(HealthEvent::up, absl::StrCat("backend ", target.name, " is tried again, after ", to_text(now - since)));
  changed_(target.id);
}

void HealthMonitor::stop(Target& target) {
  if (!target.running) return;
  target.running->cancel();
  --lane_of(target).running;
}

void HealthMonitor::start_waiting(Lane& lane) {
  while (lane.running < lane.limit && !lane.waiting.empty()) {
    const auto target = lane.waiting.front().lock();
    lane.waiting.pop_front();
    if (!target) continue;
    target->queued = false;
    start(*target);
  }
}

HealthMonitor::Lane& HealthMonitor::lane_of(const Target& target) {
  return target.spec.check.type == HealthType::exec ? programs_ : checks_;
}

double HealthMonitor::random(double from, double to) {
  return std::uniform_real_distribution(from, to)(random_);
}

}  // namespace vipgate
