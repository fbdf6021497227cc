#include "runtime/kernel_plan_parts.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"

namespace vipgate {

namespace {

bool is_our_mark(std::uint8_t protocol, const Config& config, const KernelView& view) {
  const auto& earlier = view.earlier_protocols;
  return protocol == config.kernel.protocol || std::find(earlier.begin(), earlier.end(), protocol) != earlier.end();
}

}  // namespace

bool is_ours(const Route& route, const Config& config, const KernelView& view) {
  return route.device == config.tun.name && is_our_mark(route.protocol, config, view);
}

bool is_ours(const PolicyRule& rule, const Config& config, const KernelView& view) {
  return is_our_mark(rule.protocol, config, view);
}

std::vector<Wanted<Route>> plan_routes(const Config& config) {
  std::map<Ipv4Prefix, std::string> prefixes;
  for (const Ipv4Prefix subnet : config.rules.subnets) prefixes.try_emplace(subnet, "VIP subnet");
  const auto add_host = [&](Ipv4Address address, const char* why) {
    if (!is_routed_by_table(address, config)) prefixes.try_emplace(host_prefix(address), why);
  };
  for (const Vip& vip : config.rules.vips) {
    if (!vip.shared) add_host(vip.address, "VIP");
  }
  for (const Ipv4Address address : config.rules.masquerade) add_host(address, "masquerade address");
  std::vector<Wanted<Route>> routes;
  routes.reserve(prefixes.size() + 1);
  for (const auto& [prefix, why] : prefixes) {
    routes.push_back({{.destination = prefix, .device = config.tun.name, .protocol = config.kernel.protocol}, why});
  }
  return routes;
}

absl::Status check_routes(const Config& config, const KernelView& view, const std::vector<Wanted<Route>>& routes) {
  for (const Wanted<Route>& wanted : routes) {
    for (const Route& route : view.main_routes) {
      if (route.destination != wanted.value.destination || is_ours(route, config, view)) continue;
      // A daemon that reads the announced table may put its routes here too: they lead to the same place.
      if (route.device == config.tun.name && route.metric != 0) continue;
      return absl::FailedPreconditionError(absl::StrCat(
          wanted.why, " ", route.destination.to_string(), " is already routed",
          route.device.empty() ? "" : absl::StrCat(" to ", route.device), " (", route.to_string(),
          "). Remedy: remove that route ('ip route delete ", route.destination.to_string(),
          route.device.empty() ? "" : absl::StrCat(" dev ", route.device), "'), or choose other addresses"));
    }
  }
  return absl::OkStatus();
}

absl::Status plan_table(const Config& config, const KernelView& view, const Backends& backends, KernelPlan& plan) {
  if (!backends.any_preserve && config.rules.egress.empty() && !has_shared_vip(config)) return absl::OkStatus();
  for (const Route& route : view.table_routes) {
    if (is_ours(route, config, view)) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "table ", config.kernel.table, " is used by another program (", route.to_string(),
        "): it would misdirect what 'preserve', egress and shared VIPs need. Remedy: choose another kernel.table"));
  }
  plan.routes.push_back(
      {{.destination = {}, .device = config.tun.name, .table = config.kernel.table, .protocol = config.kernel.protocol},
       "what policy rules bring comes to vipgate"});
  return absl::OkStatus();
}

}  // namespace vipgate
