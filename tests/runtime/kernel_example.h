#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.h"
#include "device/kernel.h"
#include "runtime/kernel_plan.h"

// One gateway for the kernel tests:
//
//   198.51.100.0/24 ── eth0 ┌─────────┐ eth1 ── 10.0.0.0/24: .2 .3 .8
//          default via .254 │ gateway │
//                           └─ tun0 ──┘ 203.0.113.8/29: VIP .10, masquerade .14

namespace vipgate {

inline Ipv4Address ip(const std::string& text) {
  return Ipv4Address::parse(text).value();
}
inline Ipv4Prefix net(const std::string& text) {
  return Ipv4Prefix::parse(text).value();
}

// Who made a route or a rule (rtnetlink(7), RTPROT_KERNEL and RTPROT_BOOT).
inline constexpr std::uint8_t kByKernel = 2;
inline constexpr std::uint8_t kByAdministrator = 3;

inline std::vector<std::string> rules_of(const KernelPlan& plan) {
  std::vector<std::string> texts;
  for (const auto& rule : plan.rules) texts.push_back(rule.value.to_string());
  return texts;
}
inline std::vector<std::string> routes_of(const KernelPlan& plan) {
  std::vector<std::string> texts;
  for (const auto& route : plan.routes) texts.push_back(route.value.to_string());
  return texts;
}

inline Service example_service(const std::string& name, SourceMode source, const std::vector<std::string>& backends) {
  Service service;
  service.name = name;
  service.protocols = {Protocol::tcp};
  service.ports = {{80, 80}};
  service.source = source;
  for (const std::string& address : backends) service.backends.push_back({address, ip(address), {}, 1});
  return service;
}

inline Config example_config(SourceMode source = SourceMode::masquerade,
                             const std::vector<std::string>& backends = {"10.0.0.2", "10.0.0.3", "10.0.0.8"}) {
  Config config;
  config.tun.mtu = 1400;
  Vip vip;
  vip.address = ip("203.0.113.10");
  vip.services = {example_service("web", source, backends)};
  config.rules.vips = {vip};
  config.rules.masquerade = {ip("203.0.113.14")};
  config.rules.subnets = {net("203.0.113.8/29")};
  return config;
}

}  // namespace vipgate
