#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "nat/balance_entry.h"

namespace vipgate {

/// More turns than this are not planned: of weights that would need more, the rest is left out.
inline constexpr std::size_t kMaxTurns = 65536;

/// Whose turn it is, one after the other, until it begins anew: each entry as often as its weight says and as evenly as
/// that can be (nginx's smooth weighted round robin: of 5, 1 and 1 comes a a b a c a a). Indices into `entries`; empty
/// when no entry has weight.
std::vector<std::uint16_t> turns_by_weight(std::span<const BalanceEntry> entries);

}  // namespace vipgate
