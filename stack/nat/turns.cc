#include "nat/turns.h"

#include <algorithm>
#include <numeric>

namespace vipgate {

std::vector<std::uint16_t> turns_by_weight(std::span<const BalanceEntry> entries) {
  std::int64_t sum = 0;
  std::uint32_t divisor = 0;
  for (const BalanceEntry& entry : entries) {
    sum += entry.weight;
    divisor = std::gcd(divisor, entry.weight);
  }
  if (sum == 0) return {};

  std::vector<std::uint16_t> turns(std::min<std::size_t>(static_cast<std::size_t>(sum) / divisor, kMaxTurns));
  std::vector<std::int64_t> credit(entries.size());
  for (std::uint16_t& turn : turns) {
    for (std::size_t i = 0; i < entries.size(); ++i) credit[i] += entries[i].weight;
    const auto next = std::max_element(credit.begin(), credit.end());  // the first of equals
    *next -= sum;
    turn = static_cast<std::uint16_t>(next - credit.begin());
  }
  return turns;
}

}  // namespace vipgate
