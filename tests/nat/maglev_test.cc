#include "nat/maglev.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace vipgate::test {
namespace {

std::vector<BalanceEntry> equal_entries(std::size_t count) {
  std::vector<BalanceEntry> entries;
  for (std::uint64_t i = 0; i < count; ++i) entries.push_back({(0x0a000002 + i) << 16 | 8080, 1});
  return entries;
}

std::vector<double> shares(std::span<const BalanceEntry> entries) {
  const auto table = maglev_table(entries);
  std::vector<double> counts(entries.size());
  for (const std::uint16_t slot : table) counts.at(slot) += 1;
  for (double& count : counts) count /= static_cast<double>(table.size());
  return counts;
}

/// The part of all hashes whose entry, told by its key, is another after the change.
double moved(std::span<const BalanceEntry> before, std::span<const BalanceEntry> after) {
  const auto old_table = maglev_table(before);
  const auto new_table = maglev_table(after);
  std::mt19937_64 random(1);
  constexpr int kHashes = 100000;
  int changed = 0;
  for (int i = 0; i < kHashes; ++i) {
    const std::uint64_t hash = random();
    const auto old_key = before[old_table[hash % old_table.size()]].key;
    changed += old_key == after[new_table[hash % new_table.size()]].key ? 0 : 1;
  }
  return changed / double{kHashes};
}

TEST(Maglev, equal_entries_have_equal_shares) {
  for (const std::size_t count : {2U, 3U, 5U, 10U, 50U, 100U, 600U}) {
    for (const double share : shares(equal_entries(count))) {
      EXPECT_NEAR(share * static_cast<double>(count), 1, 0.012) << count;  // within 1.2 % of the fair share
    }
  }
}

TEST(Maglev, shares_follow_weights) {
  for (const std::vector<std::uint32_t>& weights :
       std::vector<std::vector<std::uint32_t>>{{1, 2}, {1, 3, 5}, {7, 11, 13, 17}, {1, 10}, {1, 100}, {3, 0, 1}}) {
    auto entries = equal_entries(weights.size());
    for (std::size_t i = 0; i < weights.size(); ++i) entries[i].weight = weights[i];
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    const auto found = shares(entries);
    for (std::size_t i = 0; i < weights.size(); ++i)
      EXPECT_NEAR(found[i], weights[i] / sum, 0.01) << ::testing::PrintToString(weights);
  }
}

TEST(Maglev, common_factors_of_weights_do_not_matter) {
  auto entries = equal_entries(3);
  entries[1].weight = 2;
  entries[2].weight = 3;
  const auto small = maglev_table(entries);
  for (BalanceEntry& entry : entries) entry.weight *= 1000000;
  EXPECT_EQ(maglev_table(entries), small);
}

TEST(Maglev, entry_of_weight_0_has_no_slot) {
  auto entries = equal_entries(4);
  entries[2].weight = 0;
  EXPECT_EQ(shares(entries)[2], 0);
  for (BalanceEntry& entry : entries) entry.weight = 0;
  EXPECT_TRUE(maglev_table(entries).empty());
  EXPECT_TRUE(maglev_table({}).empty());
}

TEST(Maglev, one_entry_has_all_slots) {
  EXPECT_EQ(shares(equal_entries(1)), std::vector<double>{1});
}

TEST(Maglev, taking_an_entrys_weight_moves_little_but_its_own_share) {
  for (const std::size_t count : {3U, 5U, 10U, 50U, 100U, 200U}) {
    const auto entries = equal_entries(count);
    auto drained = entries;
    drained[count / 2].weight = 0;
    const double fair = 1 / static_cast<double>(count);
    EXPECT_LE(moved(entries, drained), fair + 0.01) << count;
    EXPECT_GE(moved(entries, drained), fair - 0.005) << count;
  }
}

TEST(Maglev, removing_an_entry_moves_little_but_its_own_share) {
  for (const std::size_t count : {3U, 5U, 10U, 50U, 100U, 200U}) {
    const auto entries = equal_entries(count);
    auto fewer = entries;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(count / 2));
    EXPECT_LE(moved(entries, fewer), 1 / static_cast<double>(count) + 0.01) << count;
  }
}

TEST(Maglev, order_of_entries_matters_little) {
  const auto entries = equal_entries(10);
  const std::vector<BalanceEntry> turned(entries.rbegin(), entries.rend());
  EXPECT_LE(moved(entries, turned), 0.1);
}

TEST(Maglev, same_entries_make_the_same_table) {
  EXPECT_EQ(maglev_table(equal_entries(7)), maglev_table(equal_entries(7)));
}

}  // namespace
}  // namespace vipgate::test
