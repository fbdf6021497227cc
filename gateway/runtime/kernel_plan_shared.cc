#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/kernel_plan_parts.h"

// Shared VIPs are addresses of this host. Rules ahead of the local table take the ports that are served, and ICMP,
// since errors about the served flows are among it; the rest stays with the host. The kernel's own rule for the local
// table is the first of all, so it makes way for one of ours.
namespace vipgate {
namespace {

PolicyRule rule_ahead(const Config& config, std::uint32_t distance) {
  PolicyRule rule = rule_template(config, 0);
  rule.priority -= distance;
  return rule;
}

PortSet served_ports(const Vip& vip, Protocol protocol) {
  PortSet ports;
  for (const Service& service : vip.services) {
    if (std::find(service.protocols.begin(), service.protocols.end(), protocol) == service.protocols.end()) continue;
    for (const PortRange range : service.ports) ports.add(range);
  }
  return ports;
}

/// A rule for the local table ahead of ours would take every packet that they are for.
absl::Status plan_local_rule(const Config& config, const KernelView& view, KernelPlan& plan) {
  const std::uint32_t first = config.kernel.rule_priority - kSharedWrittenBack;
  for (const PolicyRule& rule : view.rules) {
    if (!is_local_rule(rule) || rule.priority == 0 || is_ours(rule, config, view)) continue;
    if (rule.priority >= config.kernel.rule_priority) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "the rule for the local table ('", rule.to_string(), "') stands in the way of those of shared VIPs, ",
        "which begin at ", first, ". Remedy: choose a kernel.rule_priority of at most ", rule.priority));
  }
  PolicyRule local = rule_ahead(config, kSharedLocal);
  local.table = kLocalTable;
  plan.rules.push_back({local, "what shared VIPs do not serve is this host's, as before"});
  plan.moves_local = true;
  return absl::OkStatus();
}

}  // namespace

bool is_local_rule(const PolicyRule& rule) {
  PolicyRule plain;
  plain.priority = rule.priority;
  plain.protocol = rule.protocol;
  plain.table = kLocalTable;
  return rule == plain;
}

bool has_shared_vip(const Config& config) {
  return std::any_of(config.rules.vips.begin(), config.rules.vips.end(), [](const Vip& vip) { return vip.shared; });
}

std::map<std::string, Ipv4Address> read_followed(const Rules& rules, const std::vector<HostAddress>& addresses,
                                                 const std::map<std::string, Ipv4Address>& before) {
  std::map<std::string, Ipv4Address> followed;
  for (const Vip& vip : rules.vips) {
    if (vip.interface.empty()) continue;
    const auto first = std::find_if(addresses.begin(), addresses.end(), [&](const HostAddress& host) {
      return host.device == vip.interface && host.scope == AddressScope::global;
    });
    if (first != addresses.end()) {
      followed[vip.interface] = first->address;
    } else if (const auto last = before.find(vip.interface); last != before.end()) {
      followed.insert(*last);
    }
  }
  return followed;
}

absl::Status plan_shared(const Config& config, const KernelView& view, KernelPlan& plan) {
  if (!has_shared_vip(config)) return absl::OkStatus();
  if (config.kernel.rule_priority <= kSharedWrittenBack) {
    return absl::InvalidArgumentError(
        absl::StrCat("kernel.rule_priority ", config.kernel.rule_priority,
                     " leaves no room for the rules of shared VIPs, which go ahead of it: ", "choose at least ",
                     kSharedWrittenBack + 1));
  }
  PolicyRule written_back = rule_ahead(config, kSharedWrittenBack);
  written_back.incoming = config.tun.name;
  written_back.table = kLocalTable;
  plan.rules.push_back({written_back, "what vipgate passes on to this host never returns to it"});

  const std::size_t others = plan.rules.size();
  PortSet local_ports;
  local_ports.add(view.local_ports);
  PortSet served;
  for (const Vip& vip : config.rules.vips) {
    if (!vip.shared) continue;
    if (vip.address == Ipv4Address()) {
      plan.warnings.push_back(absl::StrCat("the VIP of ", vip.interface, " is out of reach while that has no address"));
      continue;
    }
    PolicyRule rule = rule_ahead(config, kShared);
    rule.to = host_prefix(vip.address);
    rule.table = config.kernel.table;
    for (const Protocol protocol : {Protocol::tcp, Protocol::udp}) {
      const PortSet ports = served_ports(vip, protocol);
      served = served | ports;
      rule.ip_protocol = static_cast<std::uint8_t>(protocol);
      for (const PortRange range : ports.ranges()) {
        rule.first_port = range.first;
        rule.last_port = range.last;
        plan.rules.push_back({rule, "shared VIP: ports of this host's address that are served"});
      }
    }
    rule.ip_protocol = static_cast<std::uint8_t>(Protocol::icmp);
    rule.first_port = rule.last_port = 0;  // of what comes from others a rule sees neither type nor code
    plan.rules.push_back({rule, "shared VIP: errors about what it serves; other ICMP goes on to this host"});
  }
  if (const std::size_t count = plan.rules.size() - others; count > kMaxDivertingRules) {
    return absl::FailedPreconditionError(
        absl::StrCat("the ports of shared VIPs need ", count, " policy rules, and more than ", kMaxDivertingRules,
                     " would slow every packet of this host. Remedy: serve adjacent ports (a whole range needs one ",
                     "rule), or use a VIP that is not shared"));
  }
  plan.reserved_ports = served - (served - local_ports);
  return plan_local_rule(config, view, plan);
}

}  // namespace vipgate
