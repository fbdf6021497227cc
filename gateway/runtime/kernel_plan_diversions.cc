#include "runtime/kernel_plan_parts.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace vipgate {
namespace {

constexpr std::uint8_t kIcmp = 1;
constexpr int kUnreachable = 3;    // RFC 792: frag-needed (RFC 1191 §4) is one of its codes
constexpr int kTimeExceeded = 11;  // likewise

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

}  // namespace

absl::Status plan_diversions(const Config& config, const Backends& backends, const EgressHosts& egress,
                             KernelPlan& plan) {
  if (!backends.any_preserve && config.rules.egress.empty()) return absl::OkStatus();
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

}  // namespace vipgate
