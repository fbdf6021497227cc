#include "runtime/doctor/policy_rules.h"

#include <algorithm>

#include "runtime/kernel_plan_parts.h"

namespace vipgate::doctor {

std::vector<PolicyRule> rules_ahead(const Config& config, const KernelView& view) {
  std::vector<PolicyRule> ahead;
  for (const PolicyRule& rule : view.rules) {
    if (is_ours(rule, config, view) || is_local_rule(rule) || rule.more) continue;
    if (rule.priority > config.kernel.rule_priority) continue;
    if (!rule.incoming.empty() && rule.incoming != config.tun.name) continue;
    if (rule.action == RuleAction::lookup && rule.table == kMainTable) continue;  // as ours does
    ahead.push_back(rule);
  }
  return ahead;
}

std::vector<std::uint32_t> tables_ahead(const Config& config, const KernelView& view) {
  std::vector<std::uint32_t> tables;
  for (const PolicyRule& rule : rules_ahead(config, view)) {
    if (rule.action == RuleAction::lookup && std::find(tables.begin(), tables.end(), rule.table) == tables.end()) {
      tables.push_back(rule.table);
    }
  }
  return tables;
}

}  // namespace vipgate::doctor
