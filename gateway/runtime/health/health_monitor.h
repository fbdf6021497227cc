#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "runtime/health/check.h"
#include "runtime/health/health_log.h"
#include "runtime/health/health_report.h"
#include "runtime/health/pinger.h"

namespace vipgate {

/// Checks backends again and again on the control thread, where nothing waits. Each has a turn every interval, a little
/// early at random, so that checks do not fall into step.
class HealthMonitor {
 public:
  using Id = std::size_t;  ///< a target's place in the list of set_targets()

  struct Options {
    /// Checks at a time, for each of which a descriptor is needed: later ones wait for their turn. 0: a quarter of what
    /// this process may open.
    std::size_t max_checks = 0;
    std::size_t max_programs = 16;  ///< at a time
    std::set<Endpoint> down{};      ///< known to be so when the first targets are set
  };
  struct Named {
    HealthTarget target;
    std::string name;  ///< for the log: "web/a (10.0.0.2:8080)"
  };

  /// At the soonest after its last begin, a check is made at once for a backend that looks ill.
  static constexpr auto kSuspectPause = std::chrono::milliseconds(250);
  /// New targets are first checked at once, but no faster than one in this time; at the latest after an interval.
  static constexpr auto kFirstSpread = std::chrono::milliseconds(1);

  /// `changed`: a target's state is another one.
  HealthMonitor(boost::asio::io_context& context, Options options, std::function<void(Id)> changed,
                HealthLog::Write write);
  ~HealthMonitor();

  /// All of them from now on, each once. Those that there were already keep their state; new ones are up, unless the
  /// backend was down under another check or is known to be.
  void set_targets(const std::vector<Named>& targets);

  /// The data path's signs that a target is ill: `refused` of them told that nobody is there. It is checked soon, or,
  /// without a check, believed.
  void suspect(Id id, std::uint64_t refused);

  std::size_t size() const { return targets_.size(); }
  Health state(Id id) const;
  HealthReport report(Id id) const;
  /// What checks found down, or do not trust again yet; not what only signs speak against.
  std::set<Endpoint> down() const;

 private:
  struct Target;
  /// Checks of a kind that is scarce.
  struct Lane {
    std::size_t limit = 0;
    std::size_t running = 0;
    std::deque<std::weak_ptr<Target>> waiting{};
  };
  using Handler = void (HealthMonitor::*)(Target&);

  void wait(Target& target, std::chrono::steady_clock::time_point until, Handler then);
  void be_due(Target& target);
  void start(Target& target);
  std::shared_ptr<RunningCheck> start_check(Target& target, CheckDone done);
  void time_out(Target& target);
  void finish(Target& target, const CheckResult& result);
  void judge(Target& target, const CheckResult& result);
  void try_again(Target& target);
  void stop(Target& target);
  void start_waiting(Lane& lane);
  Lane& lane_of(const Target& target);
  double random(double from, double to);

  boost::asio::io_context& context_;
  std::function<void(Id)> changed_;
  HealthLog log_;
  Pinger pinger_;
  Lane checks_;
  Lane programs_;
  std::set<Endpoint> known_down_;  ///< until the first targets are set
  std::mt19937_64 random_{std::random_device{}()};
  std::vector<std::shared_ptr<Target>> targets_;
};

}  // namespace vipgate
