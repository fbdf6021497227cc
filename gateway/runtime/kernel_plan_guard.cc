#include "runtime/kernel_plan_parts.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace vipgate {

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

}  // namespace vipgate
