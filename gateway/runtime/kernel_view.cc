#include "absl/strings/str_cat.h"
#include "runtime/kernel_plan_parts.h"
#include "runtime/kernel_state.h"

namespace vipgate {

absl::StatusOr<KernelView> read_view(KernelInterface& kernel, const Config& config, const KernelState& state,
                                     const std::map<std::string, Ipv4Address>& followed_before) {
  KernelView view;
  absl::StatusOr<std::vector<Link>> links = kernel.links();
  if (!links.ok()) return links.status();
  view.links = *std::move(links);
  absl::StatusOr<std::vector<HostAddress>> addresses = kernel.addresses();
  if (!addresses.ok()) return addresses.status();
  view.addresses = *std::move(addresses);
  absl::StatusOr<std::vector<Route>> main_routes = kernel.routes(kMainTable);
  if (!main_routes.ok()) return main_routes.status();
  view.main_routes = *std::move(main_routes);
  absl::StatusOr<std::vector<Route>> table_routes = kernel.routes(config.kernel.table);
  if (!table_routes.ok()) return table_routes.status();
  view.table_routes = *std::move(table_routes);

  for (const KernelState::Tag& own : state.tags) view.earlier_protocols.push_back(own.protocol);
  const absl::StatusOr<std::string> forwarding = kernel.read_sysctl(kForwarding);
  if (!forwarding.ok()) return forwarding.status();
  view.forwarding_before = *forwarding != "0";
  for (const KernelState::Value& value : state.values) {
    if (value.key == kForwarding) view.forwarding_before = value.before != "0";
  }
  const absl::StatusOr<std::string> filter = kernel.read_sysctl("net/ipv4/conf/all/rp_filter");
  if (!filter.ok()) return filter.status();
  view.reverse_filter = *filter != "0";
  const absl::StatusOr<std::string> ipv6 =
      kernel.read_sysctl(absl::StrCat("net/ipv6/conf/", config.tun.name, "/disable_ipv6"));
  if (!ipv6.ok() && !absl::IsNotFound(ipv6.status())) return ipv6.status();
  view.ipv6 = ipv6.ok();
  absl::StatusOr<std::vector<PolicyRule>> rules = kernel.rules();
  if (!rules.ok()) return rules.status();
  view.rules = *std::move(rules);
  if (!has_shared_vip(config)) return view;
  view.followed = read_followed(config.rules, view.addresses, followed_before);
  const absl::StatusOr<PortRange> local_ports = read_local_ports(kernel);
  if (!local_ports.ok()) return local_ports.status();
  view.local_ports = *local_ports;
  return view;
}

}  // namespace vipgate
