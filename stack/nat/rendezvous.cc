#include "nat/rendezvous.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "flow/hash.h"

namespace vipgate {
namespace {

/// Gateways must agree, so the lots have a fixed key.
constexpr std::uint64_t kLotSeed = 4;

std::uint64_t lot(std::uint64_t key, std::uint64_t hash) {
  return KeyedHash::fold(key ^ hash, 0xe7037ed1a0b428db);
}

/// Of a number that is as likely as any other: a sample of the exponential distribution, from 0 up.
double exponential(std::uint64_t random) {
  constexpr double kUnit = 0x1p-53;  // as fine as the mantissa
  return -std::log((static_cast<double>(random >> 11) + 0.5) * kUnit);
}

}  // namespace

Rendezvous::Rendezvous(std::span<const BalanceEntry> entries) {
  const KeyedHash hash(kLotSeed);
  keys_.reserve(entries.size());
  for (const BalanceEntry& entry : entries) keys_.push_back(hash(entry.key));
  const auto weight = [](const BalanceEntry& entry) { return entry.weight; };
  if (std::ranges::adjacent_find(entries, std::ranges::not_equal_to{}, weight) == entries.end()) return;
  weights_.reserve(entries.size());
  for (const BalanceEntry& entry : entries) weights_.push_back(entry.weight);
}

/// Without weights, the logarithms would keep the order.
std::size_t Rendezvous::choose_equal(std::uint64_t hash) const {
  std::size_t best = 0;
  std::uint64_t highest = 0;
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    const std::uint64_t drawn = lot(keys_[i], hash);
    if (drawn <= highest) continue;
    highest = drawn;
    best = i;
  }
  return best;
}

std::size_t Rendezvous::choose_weighted(std::uint64_t hash) const {
  std::size_t best = 0;
  double soonest = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    const double drawn = exponential(lot(keys_[i], hash)) / weights_[i];
    if (drawn >= soonest) continue;
    soonest = drawn;
    best = i;
  }
  return best;
}

}  // namespace vipgate
