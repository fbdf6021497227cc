#include "runtime/kernel_plan_parts.h"

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"

namespace vipgate {
namespace {

constexpr std::uint32_t kMainRulePriority = 32766;  // net/ipv4/fib_rules.c
constexpr std::uint8_t kFirstFreeProtocol = 5;  // RTPROT_STATIC, 4, and below are the kernel's and the administrator's

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

/// What the configuration's own check has seen of written addresses, for one that an interface has been given.
absl::Status check_followed(const Vip& vip, const Rules& rules) {
  std::string use;
  for (const Vip& other : rules.vips) {
    if (&other != &vip && other.address == vip.address) use = "another VIP";
    for (const Service& service : other.services) {
      for (const Backend& backend : service.backends) {
        if (backend.address == vip.address) use = "a backend of " + service.name;
      }
    }
  }
  const auto holds = [&](const Ipv4Prefix& subnet) { return subnet.contains(vip.address); };
  if (std::any_of(rules.subnets.begin(), rules.subnets.end(), holds)) use = "of the tun's subnet";
  if (use.empty() || vip.address == Ipv4Address()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("the VIP of ", vip.interface, " would be ", vip.address.to_string(),
                                                    ", which is ", use, " in the configuration. Remedy: give ",
                                                    vip.interface, " another address, or change the configuration"));
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
  const auto check_shared = [&](Ipv4Address address) -> absl::Status {
    const bool there = std::any_of(view.addresses.begin(), view.addresses.end(), [&](const HostAddress& host) {
      return host.address == address && host.device != config.tun.name;
    });
    if (there) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("the shared VIP ", address.to_string(), " is no address of this host. Remedy: give it to an ",
                     "interface ('ip address add ", address.to_string(), "/32 dev ...'), or leave \"shared\" out, ",
                     "and vipgate has it alone"));
  };
  for (const Vip& vip : config.rules.vips) {
    const absl::Status status = !vip.shared             ? check(vip.address, "VIP")
                                : vip.interface.empty() ? check_shared(vip.address)
                                                        : check_followed(vip, config.rules);
    if (!status.ok()) return status;
  }
  for (const Ipv4Address address : config.rules.masquerade) {
    if (absl::Status status = check(address, "masquerade address"); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

PolicyRule rule_template(const Config& config, std::uint32_t offset) {
  PolicyRule rule;
  rule.priority = config.kernel.rule_priority + offset;
  rule.protocol = config.kernel.protocol;
  return rule;
}

absl::StatusOr<KernelPlan> plan_kernel(const Config& config, const KernelView& view, const Withdrawn& withdrawn) {
  KernelPlan plan;
  plan.device = config.tun.name;
  plan.mtu = config.tun.mtu;
  if (absl::Status status = check_numbers(config); !status.ok()) return status;
  if (absl::Status status = check_addresses(config, view); !status.ok()) return status;
  plan.routes = plan_routes(config);
  if (absl::Status status = check_routes(config, view, plan.routes); !status.ok()) return status;
  const Backends backends = find_backends(config, view, plan);
  const EgressHosts egress = find_egress(config, view, plan);

  if (absl::Status status = plan_shared(config, view, plan); !status.ok()) return status;
  PolicyRule written_back = rule_template(config, kWrittenBack);
  written_back.incoming = config.tun.name;
  written_back.table = kMainTable;
  plan.rules.push_back({written_back, "what vipgate writes back never returns to it"});
  if (absl::Status status = plan_table(config, view, backends, plan); !status.ok()) return status;
  if (absl::Status status = plan_diversions(config, backends, egress, plan); !status.ok()) return status;
  if (absl::Status status = plan_guard(config, view, backends, egress, plan); !status.ok()) return status;
  plan_sysctls(config, view, plan);
  plan_announcements(config, view, withdrawn, plan);
  return plan;
}

void read_host(const KernelView& view, const std::string& tun, Rules& rules) {
  for (Vip& vip : rules.vips) {
    const auto followed = view.followed.find(vip.interface);
    if (followed != view.followed.end()) vip.address = followed->second;
  }
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
