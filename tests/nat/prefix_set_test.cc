#include "nat/prefix_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace vipgate::test {
namespace {

TEST(PrefixSet, holds_what_any_of_its_prefixes_holds) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    // Few bits differ, so that prefixes meet, nest and touch.
    const auto address = [&] { return Ipv4Address(0x0a000000 + random() % 4096); };
    std::vector<Ipv4Prefix> prefixes;
    for (auto i = random() % 20; i > 0; --i) {
      const int length = random() % 8 == 0 ? 0 : 20 + static_cast<int>(random() % 13);
      prefixes.emplace_back(address(), length);
    }
    const PrefixSet set(prefixes);
    for (std::uint32_t value = 0x0a000000 - 2; value < 0x0a000000 + 4098; ++value) {
      const Ipv4Address probe(value);
      const bool expected = std::any_of(prefixes.begin(), prefixes.end(),
                                        [&](const Ipv4Prefix& prefix) { return prefix.contains(probe); });
      ASSERT_EQ(set.contains(probe), expected) << probe.to_string();
    }
  }
}

TEST(PrefixSet, everything_and_nothing) {
  EXPECT_FALSE(PrefixSet().contains(Ipv4Address(0x0a000001)));
  const std::vector<Ipv4Prefix> all{Ipv4Prefix()};
  EXPECT_TRUE(PrefixSet(all).contains(Ipv4Address(0)));
  EXPECT_TRUE(PrefixSet(all).contains(Ipv4Address(0xffffffff)));
}

}  // namespace
}  // namespace vipgate::test
