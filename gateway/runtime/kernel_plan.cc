#include "runtime/kernel_plan.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace vipgate {
namespace {

// Rules of one kind share a priority: their order does not matter, and adding one renumbers none.
constexpr std::uint32_t kWrittenBack = 0;  // offsets from Config::Kernel::rule_priority
constexpr std::uint32_t kPreserve = 1;     // ahead of the exceptions: replies go to clients of every address
constexpr std::uint32_t kEgressException = 2;
constexpr std::uint32_t kEgress = 3;
constexpr std::uint32_t kErrors = 4;
constexpr std::uint32_t kGuard = 5;
constexpr std::uint32_t kMainRulePriority = 32766;  // net/ipv4/fib_rules.c

constexpr std::uint8_t kFirstFreeProtocol = 5;  // RTPROT_STATIC, 4, and below are the kernel's and the administrator's
constexpr std::uint8_t kIcmp = 1;
constexpr int kUnreachable = 3;                  // RFC 792: frag-needed (RFC 1191 §4) is one of its codes
constexpr int kTimeExceeded = 11;                // likewise
constexpr Ipv4Address kLinkAddress{0xa9fe5601};  // 169.254.86.1, RFC 3927

using PrefixesByDevice = std::map<std::string, std::vector<Ipv4Prefix>>;

Ipv4Prefix host_prefix(Ipv4Address address) {
  return {address, 32};
}

bool is_ours(const Route& route, const Config& config, const KernelView& view) {
  const auto& earlier = view.earlier_protocols;
  return route.device == config.tun.name &&
         (route.protocol == config.kernel.protocol ||
          std::find(earlier.begin(), earlier.end(), route.protocol) != earlier.end());
}

absl::Status check_numbers(const Config& config) {
  if (config.kernel.protocol < kFirstFreeProtocol) {
    return absl::InvalidArgumentError(absl::StrCat(
        "kernel.protocol ", config.kernel.protocol,
        " marks the routes of the kernel or the administrator: vipgate could not tell its own. Choose 5 to 255"));
  }
  if (config.kernel.table == 0 || (config.kernel.table >= 253 && config.kernel.table <= 255)) {
    return absl::InvalidArgumentError(absl::StrCat("kernel.table ", config.kernel.table,
                                                   " is one of the kernel's own (0, 253 to 255). Choose another"));
  }
  if (config.kernel.rule_priority == 0 || config.kernel.rule_priority >= kMainRulePriority - kGuard) {
    return absl::InvalidArgumentError(
        absl::StrCat("kernel.rule_priority ", config.kernel.rule_priority,
                     " does not lie between the local table's rule (0) and the main table's (", kMainRulePriority,
                     "). Choose 1 to ", kMainRulePriority - kGuard - 1));
  }
  return absl::OkStatus();
}

absl::Status check_addresses(const Config& config, const KernelView& view) {
  const auto check = [&](Ipv4Address address, absl::string_view kind) -> absl::Status {
    for (const HostAddress& host : view.addresses) {
      if (host.address != address) continue;
      return absl::FailedPreconditionError(
          absl::StrCat(kind, " ", address.to_string(), " is an address of this host already (on ", host.device,
                       "): the kernel would keep its packets. Remedy: 'ip address delete ", host.to_string(),
                       "', or choose another"));
    }
    return absl::OkStatus();
  };
  for (const Vip& vip : config.rules.vips) {
    if (absl::Status status = check(vip.address, "VIP"); !status.ok()) return status;
  }
  for (const Ipv4Address address : config.rules.masquerade) {
    if (absl::Status status = check(address, "masquerade address"); !status.ok()) return status;
  }
  return absl::OkStatus();
}

std::vector<Wanted<Route>> plan_routes(const Config& config) {
  std::map<Ipv4Prefix, std::string> prefixes;
  for (const Ipv4Prefix subnet : config.rules.subnets) prefixes.try_emplace(subnet, "VIP subnet");
  for (const Vip& vip : config.rules.vips) prefixes.try_emplace(host_prefix(vip.address), "VIP");
  for (const Ipv4Address address : config.rules.masquerade) {
    prefixes.try_emplace(host_prefix(address), "masquerade address");
  }
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
      return absl::FailedPreconditionError(absl::StrCat(
          wanted.why, " ", route.destination.to_string(), " is already routed",
          route.device.empty() ? "" : absl::StrCat(" to ", route.device), " (", route.to_string(),
          "). Remedy: remove that route ('ip route delete ", route.destination.to_string(),
          route.device.empty() ? "" : absl::StrCat(" dev ", route.device), "'), or choose other addresses"));
    }
  }
  return absl::OkStatus();
}

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

struct Backends {
  PrefixesByDevice all;
  PrefixesByDevice preserve;
  bool any_preserve = false;
};

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

struct EgressHosts {
  std::vector<std::set<std::string>> devices;  ///< of each entry of Rules::egress
  std::vector<Ipv4Prefix> guarded;             ///< those that the default route does not lead to
  std::set<std::string> open;                  ///< devices of egress hosts and of their exceptions: not guarded
};

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

PolicyRule rule_template(const Config& config, std::uint32_t offset) {
  PolicyRule rule;
  rule.priority = config.kernel.rule_priority + offset;
  rule.protocol = config.kernel.protocol;
  return rule;
}

void divert(const PrefixesByDevice& sources, PolicyRule rule, const std::string& why, KernelPlan& plan) {
  for (const auto& [device, prefixes] : sources) {
    for (const Ipv4Prefix prefix : aggregate(prefixes)) {
      rule.incoming = device;
      rule.from = prefix;
      plan.rules.push_back({rule, why});
    }
  }
}

/// Whether a rule may stand for the exception `except` of an entry: the hosts of narrower entries ahead of it, which
/// are not its own, must have the exception too. Else it is left to the engine, which passes such packets back.
bool holds_for_all(std::size_t index, Ipv4Prefix except, const std::vector<Egress>& egress) {
  return std::all_of(egress.begin(), egress.begin() + static_cast<std::ptrdiff_t>(index), [&](const Egress& earlier) {
    return !egress[index].from.contains(earlier.from) ||
           std::any_of(earlier.except.begin(), earlier.except.end(),
                       [&](Ipv4Prefix theirs) { return theirs.contains(except); });
  });
}

void plan_egress(const Config& config, const EgressHosts& hosts, KernelPlan& plan) {
  PrefixesByDevice sources;
  std::map<Ipv4Prefix, PrefixesByDevice> exceptions;
  for (std::size_t i = 0; i < config.rules.egress.size(); ++i) {
    const Egress& egress = config.rules.egress[i];
    for (const std::string& device : hosts.devices[i]) {
      sources[device].push_back(egress.from);
      for (const Ipv4Prefix except : egress.except) {
        if (holds_for_all(i, except, config.rules.egress)) exceptions[except][device].push_back(egress.from);
      }
    }
  }
  for (const auto& [except, its_sources] : exceptions) {
    PolicyRule rule = rule_template(config, kEgressException);
    rule.to = except;
    rule.table = kMainTable;
    divert(its_sources, rule, "exceptions of egress: reached with the private address", plan);
  }
  PolicyRule rule = rule_template(config, kEgress);
  rule.table = config.kernel.table;
  divert(sources, rule, "egress: what private hosts open leaves with a VIP", plan);
}

/// What private hosts send comes through the TUN: replies of `preserve` services, and flows of egress.
absl::Status plan_diversions(const Config& config, const KernelView& view, const Backends& backends,
                             const EgressHosts& egress, KernelPlan& plan) {
  if (!backends.any_preserve && config.rules.egress.empty()) return absl::OkStatus();
  for (const Route& route : view.table_routes) {
    if (is_ours(route, config, view)) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("table ", config.kernel.table, " is used by another program (", route.to_string(),
                     "): it would misdirect what 'preserve' and egress need. Remedy: choose another kernel.table"));
  }
  plan.routes.push_back(
      {{.destination = {}, .device = config.tun.name, .table = config.kernel.table, .protocol = config.kernel.protocol},
       "what private hosts send for 'preserve' and egress comes to vipgate"});

  const std::size_t others = plan.rules.size();
  PolicyRule replies = rule_template(config, kPreserve);
  replies.table = config.kernel.table;
  divert(backends.preserve, replies, "replies of 'preserve' backends return to vipgate", plan);
  plan_egress(config, egress, plan);
  if (const std::size_t count = plan.rules.size() - others; count > kMaxDivertingRules) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the backends of 'preserve' services and egress need ", count, " policy rules, and more than ",
        kMaxDivertingRules, " would slow every packet of this host. Remedy: give the backends adjacent addresses ",
        "(whole blocks such as 10.0.0.16/28 need one rule), set \"source\": \"masquerade\", or name fewer and wider ",
        "prefixes in \"egress\" and its \"except\""));
  }
  PolicyRule rule = rule_template(config, kErrors);
  rule.incoming = "lo";
  rule.ip_protocol = kIcmp;
  rule.table = config.kernel.table;
  for (const int type : {kUnreachable, kTimeExceeded}) {  // a rule sees type and code where ports would be
    rule.first_port = static_cast<std::uint16_t>(type << 8);
    rule.last_port = static_cast<std::uint16_t>(type << 8 | 255);
    plan.rules.push_back({rule, "errors that this host sends for flows of 'preserve' and egress are translated"});
  }
  rule.first_port = rule.last_port = 0;  // of what is forwarded a rule does not see them
  for (const auto& [device, prefixes] : backends.preserve) {
    rule.incoming = device;
    plan.rules.push_back({rule, "errors of routers before 'preserve' backends are translated"});
  }
  return absl::OkStatus();
}

absl::Status plan_guard(const Config& config, const KernelView& view, const Backends& backends,
                        const EgressHosts& egress, KernelPlan& plan) {
  if (!config.kernel.guard || view.forwarding_before) return absl::OkStatus();
  const auto kind_of = [&](const std::string& name) {
    const auto found =
        std::find_if(view.links.begin(), view.links.end(), [&](const Link& link) { return link.name == name; });
    return found == view.links.end() ? std::string() : found->kind;
  };
  std::vector<Ipv4Prefix> prefixes;
  for (const auto& [device, addresses] : backends.all)
    prefixes.insert(prefixes.end(), addresses.begin(), addresses.end());
  const std::vector<Ipv4Prefix> backends_alone = aggregate(prefixes);
  prefixes.insert(prefixes.end(), egress.guarded.begin(), egress.guarded.end());
  const std::vector<Ipv4Prefix> all = aggregate(std::move(prefixes));
  std::size_t count = 0;
  for (const Link& link : view.links) {
    if (link.loopback || link.name == config.tun.name || backends.all.contains(link.name)) continue;
    // What comes in by a port of a bridge or bond has the bridge or bond as its incoming device.
    if (!link.master.empty() && kind_of(link.master) != "vrf") continue;
    for (const Ipv4Prefix prefix : egress.open.contains(link.name) ? backends_alone : all) {
      PolicyRule rule = rule_template(config, kGuard);
      rule.incoming = link.name;
      rule.to = prefix;
      rule.action = RuleAction::prohibit;
      plan.rules.push_back({rule, absl::StrCat("guard: ", link.name, " reaches private hosts only through the VIPs")});
      ++count;
    }
  }
  if (count > kMaxGuardRules) {
    return absl::FailedPreconditionError(absl::StrCat("keeping clients from reaching the private hosts directly needs ",
                                                      count, " policy rules, and more than ", kMaxGuardRules,
                                                      " would slow every packet of this host. Remedy: give the "
                                                      "backends adjacent addresses, or set kernel.guard to false ",
                                                      "and do it in the firewall"));
  }
  if (count > kMaxDivertingRules) {
    plan.warnings.push_back(absl::StrCat("the guard needs ", count,
                                         " policy rules, which every packet passes: backends ",
                                         "with adjacent addresses would need fewer"));
  }
  return absl::OkStatus();
}

void plan_sysctls(const Config& config, const KernelView& view, KernelPlan& plan) {
  const std::string& tun = config.tun.name;
  if (view.ipv6) {
    plan.device_sysctls.push_back(
        {{absl::StrCat("net/ipv6/conf/", tun, "/disable_ipv6"), "1"}, "no IPv6 noise on the TUN"});
  }
  const std::string reverse_filter = absl::StrCat("net/ipv4/conf/", tun, "/rp_filter");
  if (view.reverse_filter) {
    // The stricter of `all` and the device holds. Loose filtering needs some address on the device, or it filters
    // strictly.
    plan.device_sysctls.push_back(
        {{reverse_filter, "2"}, "vipgate writes packets of every source; conf.all.rp_filter is on"});
    plan.address = {
        {.device = tun, .address = kLinkAddress, .network = host_prefix(kLinkAddress), .scope = AddressScope::link},
        "loose reverse path filtering needs an address"};
  } else {
    plan.device_sysctls.push_back({{reverse_filter, "0"}, "vipgate writes packets of every source"});
  }
  plan.device_sysctls.push_back(
      {{absl::StrCat("net/ipv4/conf/", tun, "/accept_local"), "1"}, "errors of this host itself pass through the TUN"});
  plan.sysctls.push_back({{"net/ipv4/ip_forward", "1"}, "translated packets are forwarded"});
  // Follows ip_forward only where that changes, and is what counts for packets from the TUN.
  plan.sysctls.push_back(
      {{absl::StrCat("net/ipv4/conf/", tun, "/forwarding"), "1"}, "what vipgate writes is forwarded"});
}

}  // namespace

std::vector<Ipv4Prefix> aggregate(std::vector<Ipv4Prefix> prefixes) {
  std::sort(prefixes.begin(), prefixes.end());  // by address, the wider first
  std::vector<Ipv4Prefix> result;
  for (const Ipv4Prefix prefix : prefixes) {
    if (!result.empty() && result.back().contains(prefix)) continue;
    result.push_back(prefix);
    while (result.size() >= 2) {  // two halves become their whole, which may be a half itself
      const Ipv4Prefix upper = result.back();
      const Ipv4Prefix lower = result[result.size() - 2];
      if (upper.length() == 0 || lower.length() != upper.length()) break;
      const Ipv4Prefix whole(lower.address(), lower.length() - 1);
      if (!whole.contains(upper)) break;
      result.pop_back();
      result.back() = whole;
    }
  }
  return result;
}

absl::StatusOr<KernelPlan> plan_kernel(const Config& config, const KernelView& view) {
  KernelPlan plan;
  plan.device = config.tun.name;
  plan.mtu = config.tun.mtu;
  if (absl::Status status = check_numbers(config); !status.ok()) return status;
  if (absl::Status status = check_addresses(config, view); !status.ok()) return status;
  plan.routes = plan_routes(config);
  if (absl::Status status = check_routes(config, view, plan.routes); !status.ok()) return status;
  const Backends backends = find_backends(config, view, plan);
  const EgressHosts egress = find_egress(config, view, plan);

  PolicyRule written_back = rule_template(config, kWrittenBack);
  written_back.incoming = config.tun.name;
  written_back.table = kMainTable;
  plan.rules.push_back({written_back, "what vipgate writes back never returns to it"});
  if (absl::Status status = plan_diversions(config, view, backends, egress, plan); !status.ok()) return status;
  if (absl::Status status = plan_guard(config, view, backends, egress, plan); !status.ok()) return status;
  plan_sysctls(config, view, plan);
  return plan;
}

void read_host_networks(const KernelView& view, const std::string& tun, Rules& rules) {
  std::set<Ipv4Prefix> connected;
  std::set<Ipv4Address> addresses;
  std::set<std::string> loopbacks;
  for (const Link& link : view.links) {
    if (link.loopback) loopbacks.insert(link.name);
  }
  for (const HostAddress& host : view.addresses) {
    addresses.insert(
        host.address);  // that of the TUN too: this host's own clients of a VIP may have it as their source
    if (host.device == tun || loopbacks.contains(host.device) || host.network == host_prefix(host.address)) continue;
    connected.insert(host.network);
  }
  rules.connected.assign(connected.begin(), connected.end());
  rules.host_addresses.assign(addresses.begin(), addresses.end());
}

}  // namespace vipgate
