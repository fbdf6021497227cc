#include "nat/turns.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace vipgate::test {
namespace {

std::vector<BalanceEntry> entries_of(const std::vector<std::uint32_t>& weights) {
  std::vector<BalanceEntry> entries;
  for (const std::uint32_t weight : weights) entries.push_back({entries.size() + 1, weight});
  return entries;
}

std::vector<std::uint16_t> turns(const std::vector<std::uint32_t>& weights) {
  return turns_by_weight(entries_of(weights));
}

TEST(Turns, are_even) {
  using Turns = std::vector<std::uint16_t>;
  EXPECT_EQ(turns({5, 1, 1}), (Turns{0, 0, 1, 0, 2, 0, 0})) << "as nginx takes them";
  EXPECT_EQ(turns({1, 1, 1}), (Turns{0, 1, 2}));
  EXPECT_EQ(turns({1, 2}), (Turns{1, 0, 1}));
  EXPECT_EQ(turns({7}), Turns{0});
}

TEST(Turns, common_factors_of_weights_do_not_matter) {
  EXPECT_EQ(turns({100, 200}), turns({1, 2}));
  EXPECT_EQ(turns({40000, 40000, 40000}).size(), 3U);
}

TEST(Turns, entry_of_weight_0_has_none) {
  EXPECT_EQ(turns({1, 0, 1}), (std::vector<std::uint16_t>{0, 2}));
  EXPECT_TRUE(turns({0, 0}).empty());
  EXPECT_TRUE(turns({}).empty());
}

TEST(Turns, go_by_weight_at_every_moment) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::uint32_t> weights(2 + random() % 9);
    for (std::uint32_t& weight : weights) weight = static_cast<std::uint32_t>(random() % 20);
    weights[0] = 1;
    double sum = 0;
    for (const std::uint32_t weight : weights) sum += weight;
    std::vector<int> taken(weights.size());
    int all = 0;
    for (const std::uint16_t turn : turns(weights)) {
      ++all;
      ++taken.at(turn);
      for (std::size_t i = 0; i < weights.size(); ++i)
        ASSERT_NEAR(taken[i], all * (weights[i] / sum), 2) << ::testing::PrintToString(weights);
    }
    EXPECT_DOUBLE_EQ(all, sum) << "the first has weight 1, so nothing divides them all";
    for (std::size_t i = 0; i < weights.size(); ++i) EXPECT_EQ(taken[i], std::lround(all * (weights[i] / sum)));
  }
}

TEST(Turns, are_not_planned_without_bound) {
  const auto planned = turns({65535, 65534, 65533, 1});
  EXPECT_EQ(planned.size(), kMaxTurns);
  EXPECT_NEAR(static_cast<double>(std::count(planned.begin(), planned.end(), 1)), kMaxTurns / 3.0, 2);
}

}  // namespace
}  // namespace vipgate::test
