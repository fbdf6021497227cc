#include "runtime/doctor/legs.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/kernel_plan_parts.h"

namespace vipgate::doctor {
namespace {

constexpr std::size_t kMaxServices = 64;
constexpr std::size_t kMaxBackends = 8;  // of a service

Interval only(Ipv4Address address) {
  return {address.value(), address.value()};
}
Interval all_of(Ipv4Prefix prefix) {
  return {prefix.address().value(), prefix.last().value()};
}
Interval only(std::uint16_t port) {
  return {port, port};
}

/// The same packets the other way.
Sample reply_to(Sample sample) {
  std::swap(sample.incoming, sample.outgoing);
  std::swap(sample.source, sample.destination);
  std::swap(sample.source_port, sample.destination_port);
  sample.state = "established";
  sample.to_this_host = false;
  return sample;
}

bool is_untracked(const Leg& leg, const Firewall& firewall) {
  constexpr int kTracking = -200;  // NF_IP_PRI_CONNTRACK
  const std::string hook = leg.kind == LegKind::checks ? "output" : "prerouting";
  for (const Table& table : firewall.tables) {
    for (const auto& [name, chain] : table.chains) {
      if (chain.hook != hook || chain.priority >= kTracking) continue;
      if (walk(table, chain, leg.at(hook)).untracked) return true;
    }
  }
  return false;
}

class Legs {
 public:
  Legs(const Config& config, const Facts& facts)
      : config_(config), facts_(facts), front_(front_devices(config, facts)) {}

  std::vector<Leg> all() {
    std::size_t services = 0;
    for (std::size_t v = 0; v < config_.rules.vips.size(); ++v) {
      const Vip& vip = config_.rules.vips[v];
      for (std::size_t s = 0; s < vip.services.size() && services < kMaxServices; ++s, ++services) {
        for (const Protocol protocol : vip.services[s].protocols) add_service(vip, vip.services[s], protocol);
        if (v < config_.health.size() && s < config_.health[v].size()) {
          add_checks(vip.services[s], config_.health[v][s]);
        }
      }
    }
    add_egress();
    return std::move(legs_);
  }

 private:
  void add(LegKind kind, std::string what, Sample sample) {
    legs_.push_back({kind, std::move(what), std::move(sample)});
  }

  void add_service(const Vip& vip, const Service& service, Protocol protocol) {
    Sample client;
    client.protocol = {static_cast<std::uint32_t>(protocol), static_cast<std::uint32_t>(protocol)};
    if (service.allow.size() == 1) client.source = all_of(service.allow.front());
    Sample server = client;
    const PortRange ports = service.ports.empty() ? kAllPorts : service.ports.front();

    client.outgoing = config_.tun.name;
    client.destination = only(vip.address);
    client.destination_port = {ports.first, ports.last};
    client.to_this_host = vip.shared;
    const std::string port = ports.first == ports.last ? absl::StrCat(":", ports.first) : "";
    const std::string name = absl::StrCat(vip.address.to_string(), port);
    for (const std::string& device : front_) {
      client.incoming = device;
      add(LegKind::from_clients, absl::StrCat("clients' packets to ", name), client);
      add(LegKind::to_clients, absl::StrCat("replies of ", name), reply_to(client));
    }

    server.incoming = config_.tun.name;
    if (service.source == SourceMode::masquerade) {
      const auto& own = config_.rules.masquerade;
      server.source = service.masquerade ? only(*service.masquerade) : own.size() == 1 ? only(own.front()) : Interval{};
    }
    for (std::size_t i = 0; i < std::min(service.backends.size(), kMaxBackends); ++i) {
      const Backend& backend = service.backends[i];
      const auto way = facts_.ways.find(backend.address);
      if (way == facts_.ways.end() || way->second.device.empty() || way->second.local) continue;
      server.outgoing = way->second.device;
      server.destination = only(backend.address);
      server.destination_port = backend.port ? only(*backend.port) : client.destination_port;
      add(LegKind::to_backends, absl::StrCat("packets to the backend ", backend.address.to_string()), server);
      add(LegKind::from_backends, absl::StrCat("replies of the backend ", backend.address.to_string()),
          reply_to(server));
    }
  }

  void add_checks(const Service& service, const HealthCheck& health) {
    if (health.type != HealthType::tcp && health.type != HealthType::http) return;
    for (std::size_t i = 0; i < std::min(service.backends.size(), kMaxBackends); ++i) {
      const Backend& backend = service.backends[i];
      const auto way = facts_.ways.find(backend.address);
      if (way == facts_.ways.end() || way->second.device.empty() || way->second.local) continue;
      Sample check;
      check.outgoing = way->second.device;
      check.destination = only(backend.address);
      check.protocol = {6, 6};
      const auto port = health.port ? health.port : backend.port;
      if (port) check.destination_port = only(*port);
      Sample answer = reply_to(check);
      answer.to_this_host = true;
      add(LegKind::checks, absl::StrCat("health checks of ", backend.address.to_string()), check);
      add(LegKind::check_answers, absl::StrCat("answers of ", backend.address.to_string(), " to health checks"),
          answer);
    }
  }

  void add_egress() {
    KernelPlan plan;  // for its warnings, which others tell
    plan.routes = plan_routes(config_);
    const EgressHosts hosts = find_egress(config_, facts_.view, plan);
    for (std::size_t i = 0; i < config_.rules.egress.size(); ++i) {
      const Egress& egress = config_.rules.egress[i];
      Sample own;
      own.protocol = {6, 6};
      own.outgoing = config_.tun.name;
      own.source = all_of(egress.from);
      for (const std::string& device : hosts.devices[i]) {
        own.incoming = device;
        add(LegKind::from_egress, absl::StrCat("flows of ", egress.from.to_string()), own);
      }
      Sample leaving = own;
      leaving.incoming = config_.tun.name;
      leaving.source = only(egress.as);
      for (const std::string& device : front_) {
        leaving.outgoing = device;
        add(LegKind::as_egress, absl::StrCat("flows that leave as ", egress.as.to_string()), leaving);
      }
    }
  }

  const Config& config_;
  const Facts& facts_;
  std::vector<std::string> front_;
  std::vector<Leg> legs_;
};

}  // namespace

bool Leg::is_reply() const {
  return kind == LegKind::from_backends || kind == LegKind::to_clients || kind == LegKind::check_answers;
}

Sample Leg::at(const std::string& hook) const {
  Sample known = sample;
  if (hook == "prerouting") known.outgoing.clear();
  return known;
}

std::vector<Leg> legs_of(const Config& config, const Facts& facts) {
  std::vector<Leg> legs = Legs(config, facts).all();
  for (Leg& leg : legs) {
    if (is_untracked(leg, facts.firewall)) leg.sample.state = "untracked";
  }
  return legs;
}

}  // namespace vipgate::doctor
