#include "runtime/health/backend_health.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"

namespace vipgate {
namespace {

/// "web/a (10.0.0.2:8080)"; what is named by its endpoint is not named twice.
std::string name_of(const Service& service, const Backend& backend) {
  std::string endpoint = backend.address.to_string();
  if (backend.port) absl::StrAppend(&endpoint, ":", *backend.port);
  return absl::StrCat(service.name, "/", backend.name,
                      backend.name == endpoint ? "" : absl::StrCat(" (", endpoint, ")"));
}

}  // namespace

std::optional<HealthTarget> health_target(const Service& service, const Backend& backend, const HealthCheck& check) {
  if (check.type == HealthType::none && !check.passive) return std::nullopt;
  HealthTarget target{.backend = {backend.address, 0}, .check = check};
  target.check.port.reset();
  if (check.type == HealthType::exec) target.service = service.name;
  if (check.type == HealthType::ping) return target;
  if (check.port) {
    target.backend.port = *check.port;
  } else if (backend.port) {
    target.backend.port = *backend.port;
  } else if (!service.wildcard) {
    target.backend.port = service.ports.front().first;
  }
  return target;
}

BackendHealth::BackendHealth(boost::asio::io_context& context, HealthMonitor::Options options, Hooks hooks)
    : hooks_(std::move(hooks)),
      monitor_(
          context, std::move(options), [this](Id) { publish_soon(); }, hooks_.write),
      signs_timer_(context),
      publish_timer_(context) {}

void BackendHealth::set_config(const Config& config) {
  services_.clear();
  std::vector<HealthMonitor::Named> targets;
  std::vector<std::size_t> users;
  std::map<HealthTarget, Id> ids;
  for (std::size_t v = 0; v < config.rules.vips.size(); ++v) {
    const auto& services = config.rules.vips[v].services;
    for (std::size_t s = 0; s < services.size(); ++s) {
      std::vector<Entry>& entries = services_.emplace_back();
      for (const Backend& backend : services[s].backends) {
        Entry& entry = entries.emplace_back();
        auto target = health_target(services[s], backend, config.health[v][s]);
        if (!target) continue;
        const auto [place, is_new] = ids.try_emplace(*target, targets.size());
        entry.target = place->second;
        if (is_new) {
          targets.push_back({*std::move(target), name_of(services[s], backend)});
          users.push_back(0);
        }
        ++users[place->second];
      }
    }
  }
  for (Id id = 0; id < targets.size(); ++id) {
    if (users[id] > 1)
      absl::StrAppend(&targets[id].name, " and ", users[id] - 1, users[id] == 2 ? " other" : " others");
  }
  monitor_.set_targets(targets);
  // Soon: what comes before the first look counts for nothing, and a host sends few ICMP errors after its first six.
  look_for_signs_in({});
}

void BackendHealth::mark(Rules& rules) const {
  auto entries = services_.begin();
  for (Vip& vip : rules.vips) {
    for (Service& service : vip.services) mark(service.backends, *entries++);
  }
}

void BackendHealth::mark(std::vector<Backend>& backends, const std::vector<Entry>& entries) const {
  const auto health = [&](std::size_t i) {
    return entries[i].target ? monitor_.state(*entries[i].target) : Health::up;
  };
  bool any_is_up = false;  // and takes new flows
  for (std::size_t i = 0; i < backends.size(); ++i) {
    any_is_up |= health(i) == Health::up && backends[i].weight > 0 && !backends[i].drained;
  }
  for (std::size_t i = 0; i < backends.size(); ++i) {
    backends[i].down = health(i) == Health::down || (health(i) == Health::held && any_is_up);
  }
}

std::optional<HealthReport> BackendHealth::report(std::size_t service, std::size_t backend) const {
  const auto& target = services_.at(service).at(backend).target;
  if (!target) return std::nullopt;
  return monitor_.report(*target);
}

HealthReports BackendHealth::reports() const {
  HealthReports reports(services_.size());
  for (std::size_t s = 0; s < services_.size(); ++s) {
    for (std::size_t b = 0; b < services_[s].size(); ++b) reports[s].push_back(report(s, b));
  }
  return reports;
}

void BackendHealth::look_for_signs() {
  for (std::uint16_t s = 0; s < services_.size(); ++s) {
    for (std::uint16_t b = 0; b < services_[s].size(); ++b) {
      Entry& entry = services_[s][b];
      if (!entry.target) continue;
      const BackendSigns now = hooks_.signs(s, b);
      const BackendSigns before = std::exchange(entry.signs, now).value_or(now);
      if (now.refused > before.refused || now.unanswered > before.unanswered) {
        monitor_.suspect(*entry.target, now.refused > before.refused ? now.refused - before.refused : 0);
      }
    }
  }
  look_for_signs_in(kSignsInterval);
}

void BackendHealth::look_for_signs_in(Duration pause) {
  signs_timer_.expires_after(pause);
  signs_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) look_for_signs();
  });
}

void BackendHealth::publish_soon() {
  if (std::exchange(publishing_, true)) return;
  const auto now = std::chrono::steady_clock::now();
  publish_timer_.expires_at(std::max(now + kGatherTime, published_ + kPublishPause));
  publish_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    publishing_ = false;
    published_ = std::chrono::steady_clock::now();
    hooks_.changed();
  });
}

}  // namespace vipgate
