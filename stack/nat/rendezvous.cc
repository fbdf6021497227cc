#include "nat/rendezvous.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "flow/hash.h"

namespace vipgate {
namespace {

/// Gateways must agree, so the lots have a fixed key.
constexpr std::uint64_t kLotSeed = 4;

/// Of a number that is as likely as any other: a sample of the exponential distribution, from 0 up.
double exponential(std::uint64_t random) {
  constexpr double kUnit = 0x1p-53;  // as fine as the mantissa
  return -std::log((static_cast<double>(random >> 11) + 0.5) * kUnit);
}

}  // namespace

std::size_t rendezvous(std::span<const BalanceEntry> entries, std::uint64_t hash) {
  const KeyedHash lot(kLotSeed);
  const auto weight = [](const BalanceEntry& entry) { return entry.weight; };
  const bool equal = std::ranges::adjacent_find(entries, std::ranges::not_equal_to{}, weight) == entries.end();
  std::size_t best = 0;
  if (equal) {  // then the logarithms keep the order
    std::uint64_t highest = 0;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const std::uint64_t drawn = lot(entries[i].key, hash);
      if (drawn <= highest) continue;
      highest = drawn;
      best = i;
    }
    return best;
  }
  double soonest = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const double drawn = exponential(lot(entries[i].key, hash)) / entries[i].weight;
    if (drawn >= soonest) continue;
    soonest = drawn;
    best = i;
  }
  return best;
}

}  // namespace vipgate
