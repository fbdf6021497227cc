#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "config/config.h"
#include "runtime/health/health_monitor.h"
#include "vipgate/backend_signs.h"

namespace vipgate {

/// Joins the monitor, which knows endpoints, with a configuration's backends: what is to be checked, who is down
/// therefore, and which backends the data path finds ill. The context must not run any more when it goes.
class BackendHealth {
 public:
  struct Hooks {
    /// A backend's state may be another one: mark() says. Called at most every kPublishPause.
    std::function<void()> changed;
    /// What the data path has seen of a backend of the last configuration, by its service's place among those of all
    /// VIPs.
    std::function<BackendSigns(std::uint16_t service, std::uint16_t backend)> signs;
    HealthLog::Write write;
  };

  /// Changes that come together are published together, and those of a flapping backend not one by one.
  static constexpr auto kGatherTime = std::chrono::milliseconds(10);
  static constexpr auto kPublishPause = std::chrono::milliseconds(250);
  /// How often the data path is asked for its signs.
  static constexpr auto kSignsInterval = std::chrono::milliseconds(250);

  BackendHealth(boost::asio::io_context& context, HealthMonitor::Options options, Hooks hooks);

  void set_config(const Config& config);

  /// Says in the rules of the last configuration which backends are down. Those that only flap are up again where their
  /// service has no better one.
  void mark(Rules& rules) const;

  /// None: nothing is known of it, since nothing is checked. Places as in Hooks::signs.
  std::optional<HealthReport> report(std::size_t service, std::size_t backend) const;
  HealthReports reports() const;
  std::set<Endpoint> down() const { return monitor_.down(); }

 private:
  using Id = HealthMonitor::Id;
  struct Entry {
    std::optional<Id> target{};
    std::optional<BackendSigns> signs{};  ///< when they were last asked for
  };

  void look_for_signs();
  void look_for_signs_in(Duration pause);
  void publish_soon();
  void mark(std::vector<Backend>& backends, const std::vector<Entry>& entries) const;

  Hooks hooks_;
  HealthMonitor monitor_;
  std::vector<std::vector<Entry>> services_;  ///< of all VIPs, one after the other
  boost::asio::steady_timer signs_timer_;
  boost::asio::steady_timer publish_timer_;
  bool publishing_ = false;  ///< soon
  std::chrono::steady_clock::time_point published_{};
};

/// What has to be checked for a backend of a service; none: nothing, and its signs mean nothing.
std::optional<HealthTarget> health_target(const Service& service, const Backend& backend, const HealthCheck& check);

}  // namespace vipgate
