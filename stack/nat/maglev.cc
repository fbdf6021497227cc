#include "nat/maglev.h"

#include <algorithm>
#include <array>

#include "flow/hash.h"

namespace vipgate {
namespace {

constexpr std::size_t kSlotsPerEntry = 100;  // at most 1 % difference between equal entries (NSDI 2016, §5.3)
constexpr std::array<std::uint32_t, 3> kSizes = {2039, 16381,
                                                 65537};  // primes; the last is the one that the paper's authors run
constexpr std::uint16_t kEmpty = 0xffff;

std::uint32_t table_size(std::size_t entries) {
  const auto* size =
      std::find_if(kSizes.begin(), kSizes.end() - 1, [&](std::uint32_t n) { return n >= entries * kSlotsPerEntry; });
  return *size;
}

/// One entry's way through the table: every slot once, in an order of its own.
struct Permutation {
  std::uint32_t next;
  std::uint32_t skip;
  std::uint64_t credit = 0;
};

}  // namespace

std::vector<std::uint16_t> maglev_table(std::span<const MaglevEntry> entries) {
  std::uint32_t max_weight = 0;
  for (const MaglevEntry& entry : entries) max_weight = std::max(max_weight, entry.weight);
  if (max_weight == 0) return {};

  const std::uint32_t size = table_size(entries.size());
  const KeyedHash offset_hash(1);
  const KeyedHash skip_hash(2);
  std::vector<Permutation> permutations;
  for (const MaglevEntry& entry : entries) {
    permutations.push_back({static_cast<std::uint32_t>(offset_hash(entry.key) % size),
                            static_cast<std::uint32_t>(skip_hash(entry.key) % (size - 1) + 1)});
  }

  std::vector<std::uint16_t> table(size, kEmpty);
  for (std::uint32_t filled = 0; filled < size;) {
    // A round gives each entry one turn for every `max_weight` of credit it has gathered.
    for (std::size_t i = 0; i < entries.size() && filled < size; ++i) {
      Permutation& permutation = permutations[i];
      permutation.credit += entries[i].weight;
      if (permutation.credit < max_weight) continue;
      permutation.credit -= max_weight;
      while (table[permutation.next] != kEmpty) permutation.next = (permutation.next + permutation.skip) % size;
      table[permutation.next] = static_cast<std::uint16_t>(i);
      ++filled;
    }
  }
  return table;
}

}  // namespace vipgate
