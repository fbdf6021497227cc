#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "nat/balance_entry.h"

namespace vipgate {

/// Rendezvous hashing (Thaler and Ravishankar, 1998) with weights (Schindelhauer and Schomaker, 2005): each entry draws
/// a lot for the hash, and the best lot has it. So an entry has its share to the last hash, and when one comes or goes
/// nothing moves but its own share. Costs a hash an entry, and a logarithm where weights differ.
///
/// Returns an index into `entries`, of which there must be one, and all with weight.
std::size_t rendezvous(std::span<const BalanceEntry> entries, std::uint64_t hash);

}  // namespace vipgate
