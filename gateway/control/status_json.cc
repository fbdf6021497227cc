#include "control/status_json.h"

#include <unistd.h>

#include <chrono>

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

Json backend_json(const Backend& backend) {
  Json json{{"name", backend.name}, {"address", backend.address.to_string()}};
  if (backend.port) json["port"] = *backend.port;
  json["weight"] = backend.weight;
  return json;
}

Json service_json(const Service& service) {
  Json json{{"name", service.name}, {"protocol", Json::array()}, {"port", ports_json(service)}};
  for (const Protocol protocol : service.protocols)
    json["protocol"].push_back(protocol == Protocol::tcp ? "tcp" : "udp");
  json["backends"] = Json::array();
  for (const Backend& backend : service.backends) json["backends"].push_back(backend_json(backend));
  return json;
}

Json vip_json(const Vip& vip) {
  Json json{{"address", vip.address.to_string()}, {"services", Json::array()}};
  for (const Service& service : vip.services) json["services"].push_back(service_json(service));
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
      {"write_failures", counters.write_failures},
      {"lost_between_workers", counters.hand_off_full},
      {"flows_opened", counters.engine.flows_opened},
      {"flows_expired", counters.engine.flows_expired},
      {"flows_evicted", counters.engine.flows_evicted},
      {"flows_revoked", counters.engine.flows_revoked},
      {"datagrams_expired", counters.engine.datagrams_expired},
      {"data_connections_announced", counters.engine.data_connections_announced},
      {"data_connections_refused", counters.engine.data_connections_refused},
      {"actions", counts_json<Action>(counters.engine.actions)},
      {"reasons", counts_json<Reason>(counters.engine.reasons)},
  };
}

}  // namespace

Json status_json(const GatewayStatus& status) {
  WorkerCounters total;
  Json workers = Json::array();
  for (const WorkerMonitor::Report& report : status.workers) {
    total.add(report.counters);
    workers.push_back({{"stuck", report.stuck},
                       {"flows", report.counters.flows},
                       {"packets_read", report.counters.packets_read},
                       {"packets_written", report.counters.packets_written}});
  }
  Json json{
      {"version", VIPGATE_VERSION},
      {"pid", ::getpid()},
      {"uptime_seconds", std::chrono::duration<double>(status.uptime).count()},
      {"config_file", status.config_file},
      {"generation", status.generation},
      {"flows", {{"now", total.flows}, {"max", status.max_flows}}},
      {"workers", std::move(workers)},
      {"vips", Json::array()},
      {"counters", counters_json(total)},
  };
  for (const Vip& vip : rules_of(*status.ruleset).vips) json["vips"].push_back(vip_json(vip));
  return json;
}

}  // namespace vipgate::control
