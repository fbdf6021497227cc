#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/kernel_plan_parts.h"

namespace vipgate {
namespace {

void plan_route(const Announcement& announcement, const Config& config, KernelPlan& plan) {
  plan.routes.push_back({{.destination = host_prefix(announcement.address),
                          .device = config.tun.name,
                          .table = *announcement.route_table,
                          .protocol = config.kernel.protocol},
                         absl::StrCat(announcement.vip ? "VIP" : "masquerade address", ", for routing daemons")});
}

void plan_proxies(const Announcement& announcement, const Config& config, const KernelView& view, KernelPlan& plan) {
  const std::string address = announcement.address.to_string();
  for (const std::string& device : announcement.arp) {
    const auto link =
        std::find_if(view.links.begin(), view.links.end(), [&](const Link& other) { return other.name == device; });
    if (link == view.links.end() || !link->up) {
      plan.warnings.push_back(absl::StrCat(device, link == view.links.end() ? " is not there" : " is down", ": ",
                                           address, " is not announced on it by ARP until it comes"));
      if (link == view.links.end()) continue;
    }
    plan.proxies.push_back({{.device = device, .address = announcement.address, .protocol = config.kernel.protocol},
                            absl::StrCat("neighbours on ", device, " reach ", address, " by ARP")});
  }
}

}  // namespace

bool is_routed_by_table(Ipv4Address address, const Config& config) {
  const bool announced = std::any_of(
      config.announcements.begin(), config.announcements.end(),
      [&](const Announcement& announcement) { return announcement.address == address && announcement.route_table; });
  // Else a daemon that takes routes of both tables for the same thing (FRR) would prefer the main table's, and announce
  // neither; and a gateway that stands by could not send to the one that announces.
  return announced && std::any_of(config.rules.subnets.begin(), config.rules.subnets.end(),
                                  [&](Ipv4Prefix subnet) { return subnet.contains(address); });
}

void plan_announcements(const Config& config, const KernelView& view, const Withdrawn& withdrawn, KernelPlan& plan) {
  for (const Announcement& announcement : config.announcements) {
    if (withdrawn.holds(announcement)) continue;
    if (announcement.route_table) plan_route(announcement, config, plan);
    plan_proxies(announcement, config, view, plan);
  }
  std::set<std::string> devices;
  for (const Wanted<ProxyNeighbour>& proxy : plan.proxies) devices.insert(proxy.value.device);
  for (const std::string& device : devices) {
    // arp_process() of net/ipv4/arp.c: without the first, answers come up to 0.8 s late, without the second never.
    plan.sysctls.push_back(
        {{absl::StrCat("net/ipv4/neigh/", device, "/proxy_delay"), "0"}, "ARP is answered without delay"});
    plan.sysctls.push_back({{absl::StrCat("net/ipv4/conf/", device, "/forwarding"), "1"},
                            "ARP is answered for others where the kernel forwards"});
  }
}

}  // namespace vipgate
