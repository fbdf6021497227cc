#include "runtime/kernel_plan_parts.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"

namespace vipgate {

bool is_ours(const Route& route, const Config& config, const KernelView& view) {
  const auto& earlier = view.earlier_protocols;
  return route.device == config.tun.name &&
         (route.protocol == config.kernel.protocol ||
          std::find(earlier.begin(), earlier.end(), route.protocol) != earlier.end());
}

std::vector<Wanted<Route>> plan_routes(const Config& config) {
  std::map<Ipv4Prefix, std::string> prefixes;
  for (const Ipv4Prefix subnet : config.rules.subnets) prefixes.try_emplace(subnet, "VIP subnet");
  const auto add_host = [&](Ipv4Address address, const char* why) {
    if (!is_routed_by_table(address, config)) prefixes.try_emplace(host_prefix(address), why);
  };
  for (const Vip& vip : config.rules.vips) add_host(vip.address, "VIP");
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

}  // namespace vipgate
