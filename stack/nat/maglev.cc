#include "nat/maglev.h"

#include <algorithm>

#include "flow/hash.h"

namespace vipgate {
namespace {

/// The prime that the paper's authors run (§5.3): shares of equal entries differ by at most 1 % up to 655 of them.
constexpr std::uint32_t kSize = 65537;
constexpr std::uint16_t kEmpty = 0xffff;

/// One entry's way through the table: every slot once, in an order of its own.
struct Permutation {
  std::uint32_t next;
  std::uint32_t skip;
  std::uint64_t credit = 0;
};

}  // namespace

std::vector<std::uint16_t> maglev_table(std::span<const BalanceEntry> entries) {
  std::uint32_t max_weight = 0;
  for (const BalanceEntry& entry : entries) max_weight = std::max(max_weight, entry.weight);
  if (max_weight == 0) return {};

  const KeyedHash offset_hash(1);
  const KeyedHash skip_hash(2);
  std::vector<Permutation> permutations;
  for (const BalanceEntry& entry : entries) {
    permutations.push_back({static_cast<std::uint32_t>(offset_hash(entry.key) % kSize),
                            static_cast<std::uint32_t>(skip_hash(entry.key) % (kSize - 1) + 1)});
  }

  std::vector<std::uint16_t> table(kSize, kEmpty);
  for (std::uint32_t filled = 0; filled < kSize;) {
    // A round gives each entry one turn for every `max_weight` of credit it has gathered.
    for (std::size_t i = 0; i < entries.size() && filled < kSize; ++i) {
      Permutation& permutation = permutations[i];
      permutation.credit += entries[i].weight;
      if (permutation.credit < max_weight) continue;
      permutation.credit -= max_weight;
      while (table[permutation.next] != kEmpty) permutation.next = (permutation.next + permutation.skip) % kSize;
      table[permutation.next] = static_cast<std::uint16_t>(i);
      ++filled;
    }
  }
  return table;
}

}  // namespace vipgate
