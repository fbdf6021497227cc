#include "runtime/doctor/facts.h"

#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "device/ethtool.h"
#include "runtime/doctor/policy_rules.h"
#include "runtime/kernel_plan_parts.h"
#include "runtime/kernel_state.h"
#include "runtime/whole_file.h"

namespace vipgate::doctor {
namespace {

/// A gateway on the TUN holds this lock (TunDevice). To take it, or to connect to it, would disturb.
bool is_locked(const std::string& tun) {
  const auto sockets = read_whole("/proc/thread-self/net/unix");
  return sockets && absl::StrContains(*sockets + "\n", absl::StrCat(" @vipgate/tun/", tun, "\n"));
}

KernelVersion kernel_version() {
  KernelVersion version;
  utsname names{};
  if (::uname(&names) == 0) (void)std::sscanf(names.release, "%d.%d", &version.major, &version.minor);
  return version;
}

std::optional<Conntrack> find_conntrack(KernelInterface& kernel) {
  Conntrack found;
  const auto entries = kernel.read_sysctl("net/netfilter/nf_conntrack_count");
  const auto room = kernel.read_sysctl("net/netfilter/nf_conntrack_max");
  if (!entries.ok() || !room.ok()) return std::nullopt;
  if (!absl::SimpleAtoi(*entries, &found.entries) || !absl::SimpleAtoi(*room, &found.room)) return std::nullopt;
  return found;
}

void read_sysctls(KernelInterface& kernel, Facts& facts) {
  std::vector<std::string> keys{kForwarding, "net/ipv4/conf/all/rp_filter"};
  for (const Link& link : facts.view.links) {
    if (link.loopback) continue;
    for (const char* name : {"rp_filter", "forwarding"}) {
      keys.push_back(absl::StrCat("net/ipv4/conf/", link.name, "/", name));
    }
  }
  for (const std::string& key : keys) {
    if (auto value = kernel.read_sysctl(key); value.ok()) facts.sysctls[key] = *std::move(value);
  }
}

Way way_to(NetlinkKernel& kernel, Ipv4Address address) {
  const absl::StatusOr<Route> route = kernel.route_to(address);
  if (!route.ok()) return {.problem = std::string(route.status().message())};
  return {.device = route->device, .gateway = route->gateway, .local = route->type == RouteType::local};
}

}  // namespace

absl::StatusOr<Facts> collect(Config& config, NetlinkKernel& kernel) {
  Facts facts;
  facts.running = is_locked(config.tun.name);
  // Not opened, which would lock the folder.
  const auto noted = KernelStateFile::take_over(config.flows.state_dir, UniqueFd()).load();
  const absl::StatusOr<std::string> identity = kernel.identity();
  const bool holds = noted && identity.ok() && noted->identity == *identity;
  absl::StatusOr<KernelView> view = read_view(kernel, config, holds ? *noted : KernelState(), {});
  if (!view.ok()) return view.status();
  facts.view = *std::move(view);
  read_host(facts.view, config.tun.name, config.rules);

  for (const Vip& vip : config.rules.vips) {
    for (const Service& service : vip.services) {
      for (const Backend& backend : service.backends) {
        if (!facts.ways.contains(backend.address)) facts.ways[backend.address] = way_to(kernel, backend.address);
      }
    }
  }
  read_sysctls(kernel, facts);
  for (const std::uint32_t table : tables_ahead(config, facts.view)) {
    if (auto routes = kernel.routes(table); routes.ok()) facts.policy_tables[table] = *std::move(routes);
  }
  facts.firewall = read_firewall();
  facts.conntrack = find_conntrack(kernel);
  facts.rights = find_rights();
  facts.kernel = kernel_version();
  facts.processors = std::max(1U, std::thread::hardware_concurrency());
  facts.networkd = find_networkd("");
  facts.network_manager = find_network_manager("", config.tun.name);
  facts.places = find_places(config, facts.running);
  for (const Link& link : facts.view.links) {
    if (!link.kind.empty() || link.loopback || !link.up) continue;  // software devices pass on what others have joined
    if (const auto merges = merges_packets(link.name)) facts.merges[link.name] = *merges;
  }
  return facts;
}

std::vector<std::string> backend_devices(const Facts& facts) {
  std::set<std::string> devices;
  for (const auto& [address, way] : facts.ways) {
    if (!way.device.empty() && !way.local) devices.insert(way.device);
  }
  return {devices.begin(), devices.end()};
}

std::vector<std::string> front_devices(const Config& config, const Facts& facts) {
  std::set<std::string> devices;
  for (const Route& route : facts.view.main_routes) {
    if (route.destination.length() == 0 && !route.device.empty()) devices.insert(route.device);
  }
  for (const Announcement& announcement : config.announcements) {
    if (announcement.vip) devices.insert(announcement.arp.begin(), announcement.arp.end());
  }
  for (const Vip& vip : config.rules.vips) {
    for (const HostAddress& host : facts.view.addresses) {
      if (vip.shared && host.address == vip.address) devices.insert(host.device);
    }
  }
  const auto is_device = [&](const std::string& name) {
    return std::any_of(facts.view.links.begin(), facts.view.links.end(), [&](const Link& link) {
      return link.name == name && link.up && !link.loopback && link.name != config.tun.name;
    });
  };
  std::erase_if(devices, [&](const std::string& name) { return !is_device(name); });
  if (!devices.empty()) return {devices.begin(), devices.end()};
  for (const HostAddress& host : facts.view.addresses) {
    if (host.scope == AddressScope::global && is_device(host.device)) devices.insert(host.device);
  }
  std::set<std::string> others = devices;
  for (const std::string& device : backend_devices(facts)) others.erase(device);
  if (!others.empty()) devices = std::move(others);
  return {devices.begin(), devices.end()};
}

}  // namespace vipgate::doctor
