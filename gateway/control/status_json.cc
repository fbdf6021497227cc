#include "control/status_json.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "vipgate/backend_signs.h"

namespace vipgate::control {
namespace {

using Json = nlohmann::ordered_json;

Json ports_json(const Service& service) {
  if (service.wildcard) return Json::array({"*"});
  Json ports = Json::array();
  for (const PortRange& range : service.ports) {
    std::string text = std::to_string(range.first);
    if (range.last != range.first) text += "-" + std::to_string(range.last);
    ports.push_back(std::move(text));
  }
  return ports;
}

const char* state_of(const Backend& backend) {
  return backend.drained ? "drained" : backend.down ? "down" : "up";
}

const char* name_of(Health health) {
  switch (health) {
    case Health::up:
      return "up";
    case Health::held:
      return "held";
    case Health::down:
      return "down";
  }
  return "";
}

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

Json health_json(const HealthReport& report, Time now) {
  Json json{{"state", name_of(report.state)}, {"since_seconds", seconds(now - report.since)}};
  if (report.held_until) json["held_seconds"] = seconds(std::max(Duration{}, *report.held_until - now));
  if (report.last) {
    json["result"] = report.last->reason;
    json["latency_seconds"] = seconds(report.latency);
  }
  json["checks"] = report.checks;
  json["failures"] = report.failures;
  return json;
}

Json traffic_json(const Traffic& traffic) {
  return {{"packets", traffic.packets}, {"bytes", traffic.bytes}};
}

Json backend_json(const Backend& backend, const BackendSigns& signs) {
  Json json{{"name", backend.name}, {"address", backend.address.to_string()}};
  if (backend.port) json["port"] = *backend.port;
  json["weight"] = backend.weight;
  if (backend.configured_weight) json["configured_weight"] = *backend.configured_weight;
  json["state"] = state_of(backend);
  json["flows"] = signs.flows;
  json["flows_opened"] = signs.opened;
  json["refused"] = signs.refused;
  json["unanswered"] = signs.unanswered;
  json["to_backend"] = traffic_json(signs.to_backend);
  json["from_backend"] = traffic_json(signs.from_backend);
  return json;
}

/// `index`: of the service in the ruleset.
Json backends_json(const Service& service, const GatewayStatus& status, std::uint16_t index) {
  Json json = Json::array();
  for (std::uint16_t i = 0; i < service.backends.size(); ++i) {
    Json& backend = json.emplace_back(backend_json(service.backends[i], signs_of(*status.ruleset, index, i)));
    if (const auto& health = status.health.at(index).at(i)) backend["health"] = health_json(*health, status.now);
  }
  return json;
}

Json service_json(const Service& service, const GatewayStatus& status, std::uint16_t index) {
  Json json{{"name", service.name}, {"protocol", Json::array()}, {"port", ports_json(service)}};
  for (const Protocol protocol : service.protocols)
    json["protocol"].push_back(protocol == Protocol::tcp ? "tcp" : "udp");
  json["backends"] = backends_json(service, status, index);
  return json;
}

Json address_of(const Vip& vip) {
  return vip.address == Ipv4Address() ? Json() : Json(vip.address.to_string());
}

/// Calls visit(vip, service, index) for all services, which are counted through all VIPs.
template <typename Visit>
void for_each_service(const GatewayStatus& status, Visit&& visit) {
  std::uint16_t index = 0;
  for (const Vip& vip : rules_of(*status.ruleset).vips) {
    for (const Service& service : vip.services) visit(vip, service, index++);
  }
}

WorkerCounters total_of(const GatewayStatus& status) {
  WorkerCounters total;
  for (const WorkerReport& report : status.workers) total.add(report.counters);
  return total;
}

Json vips_json(const GatewayStatus& status) {
  Json json = Json::array();
  std::uint16_t service = 0;  // they are counted through all VIPs
  for (const Vip& vip : rules_of(*status.ruleset).vips) {
    Json services = Json::array();
    for (const Service& one : vip.services) services.push_back(service_json(one, status, service++));
    Json& entry = json.emplace_back(
        Json{{"address", address_of(vip)}, {"served", is_served(vip)}, {"services", std::move(services)}});
    if (!vip.interface.empty()) entry["interface"] = vip.interface;
  }
  return json;
}

/// Counters that are not 0, by name.
template <typename Name, std::size_t n>
Json counts_json(const std::array<std::uint64_t, n>& counts) {
  Json json = Json::object();
  for (std::size_t i = 0; i < n; ++i) {
    if (counts[i] > 0) json[std::string(name_of(static_cast<Name>(i)))] = counts[i];
  }
  return json;
}

Json counters_json(const WorkerCounters& counters) {
  return {
      {"packets_read", counters.packets_read},
      {"bytes_read", counters.bytes_read},
      {"packets_written", counters.packets_written},
      {"bytes_written", counters.bytes_written},
      {"super_packets_read", counters.super_packets_read},
      {"packets_coalesced", counters.packets_coalesced},
      {"write_failures", counters.write_failures},
      {"lost_between_workers", counters.hand_off_full},
      {"flows_opened", counters.engine.flows_opened},
      {"flows_expired", counters.engine.flows_expired},
      {"flows_evicted", counters.engine.flows_evicted},
      {"flows_revoked", counters.engine.flows_revoked},
      {"flows_ended", counters.engine.flows_ended},
      {"datagrams_expired", counters.engine.datagrams_expired},
      {"data_connections_announced", counters.engine.data_connections_announced},
      {"data_connections_refused", counters.engine.data_connections_refused},
      {"actions", counts_json<Action>(counters.engine.actions)},
      {"reasons", counts_json<Reason>(counters.engine.reasons)},
  };
}

}  // namespace

Json status_json(const GatewayStatus& status) {
  const WorkerCounters total = total_of(status);
  Json workers = Json::array();
  for (const WorkerReport& report : status.workers) {
    workers.push_back({{"stuck", report.stuck},
                       {"flows", report.counters.flows},
                       {"packets_read", report.counters.packets_read},
                       {"packets_written", report.counters.packets_written}});
  }
  return {
      {"version", VIPGATE_VERSION},
      {"pid", ::getpid()},
      {"uptime_seconds", seconds(status.uptime)},
      {"config_file", status.config_file},
      {"generation", status.generation},
      {"standby", status.standby},
      {"flows", {{"now", total.flows}, {"max", status.max_flows}}},
      {"workers", std::move(workers)},
      {"vips", vips_json(status)},
      {"counters", counters_json(total)},
  };
}

Json services_json(const GatewayStatus& status) {
  Json services = Json::array();
  for_each_service(status, [&](const Vip& vip, const Service& service, std::uint16_t index) {
    Json& one = services.emplace_back(Json{{"vip", address_of(vip)}});
    one.update(service_json(service, status, index));
  });
  return {{"services", std::move(services)}};
}

Json backends_json(const GatewayStatus& status) {
  Json backends = Json::array();
  for_each_service(status, [&](const Vip& vip, const Service& service, std::uint16_t index) {
    for (const Json& backend : backends_json(service, status, index)) {
      Json& one = backends.emplace_back(Json{{"vip", address_of(vip)}, {"service", service.name}});
      one.update(backend);
    }
  });
  return {{"backends", std::move(backends)}};
}

Json drops_json(const GatewayStatus& status) {
  const WorkerCounters total = total_of(status);
  std::vector<std::size_t> reasons;
  for (std::size_t i = 0; i < kReasonCount; ++i) {
    if (static_cast<Reason>(i) != Reason::none) reasons.push_back(i);
  }
  const auto& counts = total.engine.reasons;
  std::stable_sort(reasons.begin(), reasons.end(), [&](std::size_t a, std::size_t b) { return counts[a] > counts[b]; });
  Json drops = Json::array();
  for (const std::size_t i : reasons) {
    const auto reason = static_cast<Reason>(i);
    drops.push_back({{"reason", std::string(name_of(reason))},
                     {"count", counts[i]},
                     {"description", std::string(describe(reason))}});
  }
  return {{"drops", std::move(drops)},
          {"lost_between_workers", total.hand_off_full},
          {"write_failures", total.write_failures}};
}

}  // namespace vipgate::control
