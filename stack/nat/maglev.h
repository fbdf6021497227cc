#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nat/balance_entry.h"

namespace vipgate {

/// Maglev consistent hashing (Eisenbud et al., NSDI 2016, §3.4): the table gives each entry its share of the slots, and
/// most slots keep their entry when others come or go. Slots hold indices into `entries`. Empty when no entry has
/// weight.
///
/// All tables have the same size: another one deals all slots anew.
std::vector<std::uint16_t> maglev_table(std::span<const BalanceEntry> entries);

}  // namespace vipgate
