#pragma once

#include <cstdint>
#include <vector>

#include "config/config.h"
#include "device/kernel.h"
#include "runtime/kernel_plan.h"

namespace vipgate::doctor {

/// Policy rules of others that the kernel looks at before vipgate's own, and that may hold for what vipgate writes.
std::vector<PolicyRule> rules_ahead(const Config& config, const KernelView& view);

/// The tables that they look up.
std::vector<std::uint32_t> tables_ahead(const Config& config, const KernelView& view);

}  // namespace vipgate::doctor
