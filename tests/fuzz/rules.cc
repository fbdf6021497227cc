#include "fuzz/rules.h"

#include <string>
#include <string_view>
#include <utility>

#include "support/packet_builder.h"

namespace vipgate::fuzz {
namespace {

using test::address;

Service service(std::string name, std::vector<Protocol> protocols, std::uint16_t port, std::string_view backend,
                std::optional<std::uint16_t> backend_port = std::nullopt) {
  Service result;
  result.name = std::move(name);
  result.protocols = std::move(protocols);
  result.ports = {{port, port}};
  result.backends.push_back({.name = std::string(backend), .address = address(backend), .port = backend_port});
  return result;
}

/// Every tick of a timer takes its time.
Timeouts short_timeouts() {
  using std::chrono::seconds;
  Timeouts timeouts = Timeouts::linux_profile();
  timeouts.established = kLongestSilence;
  timeouts.syn_sent = timeouts.fin_wait = timeouts.time_wait = seconds(70);
  timeouts.picked_up = timeouts.udp = seconds(40);
  return timeouts;
}

/// Services of every kind on 203.0.113.10, a wildcard on 203.0.113.11.
Rules full_rules() {
  Rules rules = small_rules();
  rules.connected = {*Ipv4Prefix::parse("10.0.0.0/24")};
  rules.host_addresses = {address("10.0.0.1")};
  rules.timeouts = short_timeouts();
  auto& services = rules.vips[0].services;
  services[0].backends.push_back({.name = "b", .address = address("10.0.0.3"), .port = 8080});
  services[0].mss = std::uint16_t{1360};
  services.push_back(service("files", {Protocol::tcp}, 21, "10.0.0.6"));
  services.back().helper = Helper::ftp;
  services.push_back(service("preserved files", {Protocol::tcp}, 2121, "10.0.0.7", 21));
  services.back().source = SourceMode::preserve;
  services.back().helper = Helper::ftp;
  services.push_back(service("range", {Protocol::tcp, Protocol::udp}, 8000, "10.0.0.2"));
  services.back().ports = {{8000, 8099}};
  services.push_back(service("limited", {Protocol::tcp, Protocol::udp}, 81, "10.0.0.9"));
  services.back().limits = {.flows = 3, .flows_per_client = std::nullopt, .new_per_second = 5};
  services.back().idle_timeout = std::chrono::seconds(20);

  Vip second;
  second.address = address("203.0.113.11");
  second.ping = Ping::never;
  second.unmatched = Unmatched::drop;
  second.services = {service("rest", {Protocol::tcp, Protocol::udp}, 1, "10.0.0.8")};
  second.services.back().ports = {kAllPorts};
  second.services.back().wildcard = true;
  rules.vips.push_back(std::move(second));
  rules.egress = {{.from = *Ipv4Prefix::parse("10.0.0.0/24"),
                   .as = address("203.0.113.10"),
                   .except = {*Ipv4Prefix::parse("10.0.0.0/8"), *Ipv4Prefix::parse("192.168.0.0/16")}}};
  return rules;
}

/// Other backends, no helper, egress with the other VIP, and a VIP that is the host's address, too.
Rules moved_rules() {
  Rules rules = full_rules();
  auto& services = rules.vips[0].services;
  services[0].backends = {{.name = "c", .address = address("10.0.0.12"), .port = std::uint16_t{8080}}};
  services[4].helper = Helper::none;
  services.erase(services.begin() + 2);
  rules.egress[0].as = address("203.0.113.11");
  Vip shared;
  shared.address = address("203.0.113.12");
  shared.shared = true;
  shared.services = {service("host's web", {Protocol::tcp}, 80, "10.0.0.2", 8080)};
  rules.vips.push_back(std::move(shared));
  return rules;
}

/// Clients turned away, sources shown otherwise, backends down and drained.
Rules strict_rules() {
  Rules rules = full_rules();
  auto& services = rules.vips[0].services;
  services[0].allow = {*Ipv4Prefix::parse("198.51.100.0/24")};
  services[0].deny = {*Ipv4Prefix::parse("198.51.100.9")};
  services[0].source = SourceMode::preserve;
  services[3].source = SourceMode::masquerade;
  services[0].backends[1].down = true;
  services[1].backends[0].drained = true;
  services[3].backends[0].down = true;
  services[3].on_backend_down = OnBackendDown::reset;
  services.back().limits = {.flows = 2, .flows_per_client = 1, .new_per_second = std::nullopt};
  rules.masquerade.push_back(address("10.0.0.250"));
  rules.vips[0].unmatched = Unmatched::drop;
  return rules;
}

}  // namespace

const std::vector<Rules>& rulesets() {
  static const std::vector<Rules> all = [] {
    Rules plain = small_rules();
    plain.timeouts = short_timeouts();
    return std::vector<Rules>{full_rules(), moved_rules(), strict_rules(), plain};
  }();
  return all;
}

Rules small_rules() {
  Rules rules;
  rules.subnets = {*Ipv4Prefix::parse("203.0.113.8/29")};
  rules.masquerade = {address("203.0.113.14")};
  Vip vip;
  vip.address = address("203.0.113.10");
  vip.services = {service("web", {Protocol::tcp}, 80, "10.0.0.2", 8080),
                  service("mail", {Protocol::tcp}, 25, "10.0.0.3"),
                  service("names", {Protocol::udp, Protocol::tcp}, 53, "10.0.0.4"),
                  service("preserved", {Protocol::tcp, Protocol::udp}, 443, "10.0.0.5")};
  vip.services.back().source = SourceMode::preserve;
  rules.vips = {std::move(vip)};
  return rules;
}

}  // namespace vipgate::fuzz
