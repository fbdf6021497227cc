#include "runtime/doctor/doctor.h"

#include <algorithm>

namespace vipgate::doctor {

Report examine(const Config& config, const Facts& facts) {
  Report report;
  for (const auto check :
       {check_rights, check_device, check_places, check_plan, check_backends, check_policy_rules, check_sysctls,
        check_firewall, check_translation, check_tracking, check_managers, check_cards}) {
    check(config, facts, report);
  }
  std::stable_sort(report.findings.begin(), report.findings.end(),
                   [](const Finding& a, const Finding& b) { return a.severity < b.severity; });
  return report;
}

}  // namespace vipgate::doctor
