#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace vipgate {

/// What a balancing table is made of: a number that names the backend wherever and whenever the table is made, and its
/// share.
struct MaglevEntry {
  std::uint64_t key = 0;
  std::uint32_t weight = 1;
};

/// Maglev consistent hashing (Eisenbud et al., NSDI 2016, §3.4): the table gives each entry its share of the slots, and
/// most slots keep their entry when others come or go. Slots hold indices into `entries`. Empty when no entry has
/// weight.
///
/// The size is one of a few primes, the first that is at least 100 × entries: another size deals all slots anew, so it
/// must not change with every entry.
std::vector<std::uint16_t> maglev_table(std::span<const MaglevEntry> entries);

}  // namespace vipgate
