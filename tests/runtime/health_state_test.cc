#include "runtime/health/health_state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace vipgate {
namespace {

using namespace std::chrono_literals;

constexpr Time kStart{1h};

class CheckedHealthTest : public testing::Test {
 protected:
  /// One check a second: '+' passes, '-' fails. What the state is after each: 'u', 'h' or 'd'.
  std::string after(std::string_view results, CheckedHealth& health) {
    std::string states;
    for (const char result : results) {
      const Health before = health.state();
      const bool changed = result == '+' ? health.passed(now_) : health.failed(now_);
      EXPECT_EQ(changed, health.state() != before);
      if (changed) {
        EXPECT_EQ(health.since(), now_);
      }
      states += health.state() == Health::up ? 'u' : health.state() == Health::held ? 'h' : 'd';
      now_ += 1s;
    }
    return states;
  }
  std::string after(std::string_view results, CheckedHealth::Thresholds thresholds = {}, Health state = Health::up) {
    CheckedHealth health(thresholds, state, now_);
    return after(results, health);
  }

  Time now_ = kStart;
};

TEST_F(CheckedHealthTest, RiseAndFallCountResultsInARow) {
  EXPECT_EQ(after("+--+--+---"), "uuuuuuuuud");
  EXPECT_EQ(after("+---+-+-++"),
            "uuudddddd"
            "u");
  EXPECT_EQ(after("+-+", {1, 1}), "udu");
  EXPECT_EQ(after("+----+++++", {4, 4}),
            "uuuuddddu"
            "u");
}

TEST_F(CheckedHealthTest, OneResultDecidesUntilTheFirstCheckPasses) {
  EXPECT_EQ(after("-"), "d");
  EXPECT_EQ(after("-----+"), "dddddu");
  EXPECT_EQ(after("-+--+---"), "duuuuuud") << "from the first passed check on, fall counts";
  EXPECT_EQ(after("-+---++"), "duuuddu") << "that it was not up in the beginning is no flapping";
  EXPECT_EQ(after("+", {}, Health::down), "u") << "known to be down from before a reload";
  EXPECT_EQ(after("-", {}, Health::down), "d");
  CheckedHealth held({}, Health::held, now_);
  EXPECT_EQ(held.state(), Health::down) << "what is held is not trusted under other checks either";
}

TEST_F(CheckedHealthTest, CountsWhatCameInARow) {
  CheckedHealth health({}, Health::up, now_);
  EXPECT_EQ(health.in_a_row(), 0U);
  after("-", health);
  EXPECT_EQ(health.in_a_row(), 1U);
  after("--", health);
  EXPECT_EQ(health.in_a_row(), 3U);
  after("+", health);
  EXPECT_EQ(health.in_a_row(), 1U);
}

TEST_F(CheckedHealthTest, TheFirstFailureCostsNoHold) {
  EXPECT_EQ(after("+---++"),
            "uuudd"
            "u");
}

TEST_F(CheckedHealthTest, Fault8_WhoFlapsIsHeldForLongerAndLonger) {
  CheckedHealth health({1, 1}, Health::up, now_);
  EXPECT_EQ(after("+-+-+++++", health),
            "udu"
            "dhhhhu")
      << "5 s from the second time on";
  EXPECT_EQ(after("-++++++++++", health), "dhhhhhhhhhu") << "then 10 s";
  after("-", health);
  EXPECT_EQ(health.held_until() - health.since(), 20s);
}

TEST_F(CheckedHealthTest, Fault8_FlappingWhileHeldLengthensTheHold) {
  CheckedHealth health({1, 1}, Health::up, now_);
  EXPECT_EQ(after("+-+-+-+-+", health), "ududhdhdh");
  EXPECT_EQ(health.held_until() - kStart, 7s + 20s);
  after("++++++++++++++++++", health);
  EXPECT_EQ(health.state(), Health::held);
  after("+", health);
  EXPECT_EQ(health.state(), Health::up);
}

TEST_F(CheckedHealthTest, Fault8_ADayOfFlappingChangesTheStateSeldom) {
  CheckedHealth health({1, 1}, Health::up, now_);
  std::vector<Time> ups;
  Duration longest{};
  for (int second = 0; second < 86400; ++second, now_ += 1s) {
    if (second % 2 == 0 ? health.passed(now_) : health.failed(now_)) {
      if (health.state() == Health::up) ups.push_back(now_);
      longest = std::max(longest, health.held_until() - now_);
    }
  }
  EXPECT_LE(ups.size(), 2U) << "it is not up again as long as it flaps";
  EXPECT_EQ(longest, FlapDamping::kLongestHold);
  const Time quiet_from = now_;
  while (health.state() != Health::up) {
    health.passed(now_);
    now_ += 1s;
  }
  EXPECT_LE(now_ - quiet_from, FlapDamping::kLongestHold + 1s) << "what has become quiet comes back";
}

TEST_F(CheckedHealthTest, Fault8_QuietTimeIsForgivenStepByStep) {
  CheckedHealth health({1, 1}, Health::up, now_);
  const auto hold_after_quiet = [&](Duration quiet) {
    while (health.state() != Health::up) {
      now_ += 1s;
      health.passed(now_);
    }
    now_ += quiet;
    health.failed(now_);
    return health.held_until() - now_;
  };
  health.passed(now_);
  EXPECT_EQ(hold_after_quiet(0s), 0s);
  EXPECT_EQ(hold_after_quiet(0s), 5s);
  EXPECT_EQ(hold_after_quiet(0s), 10s);
  EXPECT_EQ(hold_after_quiet(FlapDamping::kQuiet - 2s), 20s);
  EXPECT_EQ(hold_after_quiet(FlapDamping::kQuiet), 20s) << "one step less";
  EXPECT_EQ(hold_after_quiet(FlapDamping::kQuiet * 100), 0s);
}

TEST(WatchedHealth, SignsWithinAnIntervalTakeItDownForAWhile) {
  WatchedHealth health({.fall = 3, .interval = 2s}, kStart);
  EXPECT_FALSE(health.take(0, kStart + 1s));
  EXPECT_FALSE(health.take(2, kStart + 4s));
  EXPECT_FALSE(health.take(0, kStart + 5s));
  EXPECT_FALSE(health.take(1, kStart + 7s)) << "too long after the last one";
  EXPECT_FALSE(health.take(1, kStart + 8s));
  EXPECT_EQ(health.state(), Health::up);
  EXPECT_TRUE(health.take(1, kStart + 10s)) << "a host that says so but now and then is believed, too";
  EXPECT_EQ(health.state(), Health::down);
  EXPECT_EQ(health.since(), kStart + 10s);
  EXPECT_FALSE(health.take(100, kStart + 11s)) << "it is down already";
  EXPECT_EQ(health.down_until(), kStart + 15s);
  EXPECT_FALSE(health.try_again(kStart + 14s));
  EXPECT_TRUE(health.try_again(kStart + 15s));
  EXPECT_EQ(health.state(), Health::up);
  EXPECT_FALSE(health.try_again(kStart + 16s));
  EXPECT_FALSE(health.take(2, kStart + 16s)) << "counted anew";
}

TEST(WatchedHealth, Fault8_PausesGrowWhereTryingAgainDoesNotHelp) {
  WatchedHealth health({.fall = 1, .interval = 2s}, kStart);
  Time now = kStart;
  std::vector<Duration> pauses;
  for (int i = 0; i < 8; ++i) {
    now += 1s;
    ASSERT_TRUE(health.take(1, now));
    pauses.push_back(*health.down_until() - now);
    now = *health.down_until();
    ASSERT_TRUE(health.try_again(now));
  }
  EXPECT_EQ(pauses, (std::vector<Duration>{5s, 5s, 10s, 20s, 40s, 80s, 120s, 120s}));
}

}  // namespace
}  // namespace vipgate
