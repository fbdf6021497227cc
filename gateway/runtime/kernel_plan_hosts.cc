#include "runtime/kernel_plan_parts.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace vipgate {
namespace {

/// How the kernel sends to a prefix.
struct Reach {
  std::set<std::string> devices;  ///< several where networks lie inside, or a route has several next hops
  bool only_by_default = false;   ///< nothing but the default route leads there
};

Reach find_reach(Ipv4Prefix prefix, const Config& config, const KernelView& view,
                 const std::vector<Wanted<Route>>& planned) {
  Reach reach;
  struct Cover {  // the route that holds all of it, or what no network inside has
    int length = -1;
    std::uint32_t metric = 0;
    std::set<std::string> devices;
  } best;
  const auto consider = [&](Ipv4Prefix network, std::uint32_t metric, const std::string& device) {
    if (!network.contains(prefix)) {
      if (prefix.contains(network)) reach.devices.insert(device);
      return;
    }
    if (network.length() < best.length || (network.length() == best.length && metric > best.metric)) return;
    if (network.length() > best.length || metric < best.metric) best.devices.clear();
    best.length = network.length();
    best.metric = metric;
    best.devices.insert(device);
  };
  for (const Route& route : view.main_routes) {
    if (is_ours(route, config, view)) continue;  // those that stay are in `planned`
    consider(route.destination, route.metric, route.type == RouteType::unicast ? route.device : std::string());
  }
  for (const Wanted<Route>& route : planned) consider(route.value.destination, 0, config.tun.name);
  for (const HostAddress& host : view.addresses) {  // a network without a route of its own (noprefixroute)
    if (host.network == host_prefix(host.address) || host.network.length() <= best.length) continue;
    consider(host.network, 0, host.device);
  }
  reach.devices.erase(std::string());
  reach.only_by_default = reach.devices.empty() && best.length == 0;
  if (best.length > 0 || reach.only_by_default) reach.devices.merge(best.devices);
  reach.devices.erase(std::string());
  return reach;
}

}  // namespace

Backends find_backends(const Config& config, const KernelView& view, KernelPlan& plan) {
  std::map<Ipv4Address, bool> addresses;  // and whether one of its services preserves the source
  Backends backends;
  for (const Vip& vip : config.rules.vips) {
    for (const Service& service : vip.services) {
      const bool preserve = service.source == SourceMode::preserve;
      backends.any_preserve = backends.any_preserve || preserve;
      for (const Backend& backend : service.backends) addresses[backend.address] |= preserve;
    }
  }
  for (const auto& [address, preserve] : addresses) {
    const auto local = std::find_if(view.addresses.begin(), view.addresses.end(),
                                    [host = address](const HostAddress& a) { return a.address == host; });
    if (local != view.addresses.end()) {
      plan.warnings.push_back(absl::StrCat("backend ", address.to_string(), " is this host itself (", local->device,
                                           "): its replies do not come back through ", config.tun.name,
                                           ", so its flows do not work"));
      continue;
    }
    const std::set<std::string> devices = find_reach(host_prefix(address), config, view, plan.routes).devices;
    if (devices.contains(config.tun.name)) {
      plan.warnings.push_back(absl::StrCat("backend ", address.to_string(), " lies in a network that is routed to ",
                                           config.tun.name, ": nothing reaches it. Give it a route of its own"));
      continue;
    }
    if (devices.empty()) {
      plan.warnings.push_back(absl::StrCat("backend ", address.to_string(),
                                           " has no route: nothing reaches it, and no rule ",
                                           "guards it until it has one"));
      continue;
    }
    for (const std::string& device : devices) {
      backends.all[device].push_back(host_prefix(address));
      if (preserve) backends.preserve[device].push_back(host_prefix(address));
    }
  }
  return backends;
}

EgressHosts find_egress(const Config& config, const KernelView& view, KernelPlan& plan) {
  const auto reach_of = [&](Ipv4Prefix prefix) {
    Reach reach = find_reach(prefix, config, view, plan.routes);
    reach.devices.erase(config.tun.name);
    for (const Link& link : view.links) {  // from there comes what this host sends itself
      if (link.loopback) reach.devices.erase(link.name);
    }
    return reach;
  };
  EgressHosts hosts;
  std::set<Ipv4Prefix> exceptions;
  for (const Egress& egress : config.rules.egress) {
    const Reach reach = reach_of(egress.from);
    hosts.devices.push_back(reach.devices);
    const std::string from = absl::StrCat("egress from ", egress.from.to_string());
    if (reach.devices.empty()) {
      plan.warnings.push_back(absl::StrCat(from, " has no route: nothing comes from there until it has one"));
    } else if (reach.only_by_default) {
      plan.warnings.push_back(absl::StrCat(from, ": nothing but the default route leads there, by ",
                                           *reach.devices.begin(), ", where the clients are. Is the prefix mistyped, ",
                                           "or a route to the private network missing?"));
    } else {
      hosts.guarded.push_back(egress.from);
      hosts.open.insert(reach.devices.begin(), reach.devices.end());
      exceptions.insert(egress.except.begin(), egress.except.end());
    }
  }
  for (const Ipv4Prefix except : exceptions) {
    if (Reach reach = reach_of(except); !reach.only_by_default) hosts.open.merge(reach.devices);
  }
  return hosts;
}

}  // namespace vipgate
