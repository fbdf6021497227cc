#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "nat/balance_entry.h"

namespace vipgate {

/// Rendezvous hashing (Thaler and Ravishankar, 1998) with weights (Schindelhauer and Schomaker, 2005): each entry draws
/// a lot for a hash, and the best lot has it. So an entry has its share to the last hash, and when one comes or goes
/// nothing moves but its own share. Costs a multiplication an entry, and a logarithm where weights differ.
class Rendezvous {
 public:
  /// All entries have weight.
  explicit Rendezvous(std::span<const BalanceEntry> entries);

  /// An index into the entries, of which there must be one, for a hash as KeyedHash gives it.
  std::size_t choose(std::uint64_t hash) const { return weights_.empty() ? choose_equal(hash) : choose_weighted(hash); }

 private:
  std::size_t choose_equal(std::uint64_t hash) const;
  std::size_t choose_weighted(std::uint64_t hash) const;

  std::vector<std::uint64_t> keys_;  ///< by entry, as even as hashes
  std::vector<double> weights_;      ///< by entry; none where they are equal
};

}  // namespace vipgate
