#pragma once

#include "config/config.h"
#include "runtime/doctor/facts.h"
#include "runtime/doctor/finding.h"

namespace vipgate::doctor {

/// What on a host would stop or slow a gateway with this configuration. Makes no system call.
Report examine(const Config& config, const Facts& facts);

// Its parts, a subject each.

void check_rights(const Config& config, const Facts& facts, Report& report);
void check_device(const Config& config, const Facts& facts, Report& report);
void check_places(const Config& config, const Facts& facts, Report& report);
void check_plan(const Config& config, const Facts& facts, Report& report);
void check_backends(const Config& config, const Facts& facts, Report& report);
void check_policy_rules(const Config& config, const Facts& facts, Report& report);
void check_sysctls(const Config& config, const Facts& facts, Report& report);
void check_firewall(const Config& config, const Facts& facts, Report& report);
void check_translation(const Config& config, const Facts& facts, Report& report);
void check_tracking(const Config& config, const Facts& facts, Report& report);
void check_managers(const Config& config, const Facts& facts, Report& report);
void check_cards(const Config& config, const Facts& facts, Report& report);

}  // namespace vipgate::doctor
