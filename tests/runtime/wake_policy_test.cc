#include "runtime/wake_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vipgate {
namespace {

/// How many of so many turns end with the wish to be ahead.
std::uint32_t turns_ahead(WakePolicy& policy, std::uint32_t turns, std::uint32_t super_packets_each) {
  std::uint32_t ahead = 0;
  for (std::uint32_t turn = 0; turn < turns; ++turn) {
    for (std::uint32_t i = 0; i < super_packets_each; ++i) policy.note_super_packet();
    if (policy.end_turn()) ++ahead;
  }
  return ahead;
}

class WakePolicyTest : public testing::Test {
 protected:
  static constexpr std::uint32_t kMany = 2;  // super-packets a turn: they gather
  static_assert(kMany * WakeTrials::kTrial >= WakeTrials::kGathered && WakeTrials::kTrial < WakeTrials::kGathered);

  WakeTrials trials_;
  WakePolicy policy_{trials_};
  WakePolicy other_{trials_};
};

TEST_F(WakePolicyTest, SmallPacketsAreNotWorthIt) {
  EXPECT_EQ(turns_ahead(policy_, 100'000, 0), 0U);
}

TEST_F(WakePolicyTest, SuperPacketsThatComeOneByOneAreButForTrials) {
  constexpr std::uint32_t kPeriod = WakeTrials::kTrial + WakeTrials::kTrust;
  EXPECT_EQ(turns_ahead(policy_, 10 * kPeriod, 1), 10 * WakeTrials::kTrust);
}

TEST_F(WakePolicyTest, SuperPacketsThatGatherAreNot) {
  EXPECT_EQ(turns_ahead(policy_, 100'000, kMany), 0U);
}

TEST_F(WakePolicyTest, WhenTheyGatherNoLongerTheyAreAfterATrial) {
  turns_ahead(policy_, 10 * WakeTrials::kTrial, kMany);
  EXPECT_EQ(turns_ahead(policy_, WakeTrials::kTrial, 1), 1U);
  EXPECT_EQ(turns_ahead(policy_, 100, 1), 100U);
}

TEST_F(WakePolicyTest, WhenTheyBeginToGatherTheyAreNotFromTheNextTrialOn) {
  turns_ahead(policy_, WakeTrials::kTrial, 1);
  EXPECT_EQ(turns_ahead(policy_, 100'000, kMany), WakeTrials::kTrust - 1);
}

TEST_F(WakePolicyTest, TheyAreForAsLongAsOthersMayFollow) {
  turns_ahead(policy_, WakeTrials::kTrial, 1);
  EXPECT_EQ(turns_ahead(policy_, WakePolicy::kSmallTurns + 10, 0), WakePolicy::kSmallTurns - 1);
  EXPECT_EQ(turns_ahead(policy_, 1, 1), 1U);
}

TEST_F(WakePolicyTest, WorkersJudgeTogether) {
  turns_ahead(policy_, WakeTrials::kTrial / 2, 1);
  turns_ahead(other_, WakeTrials::kTrial / 2, 3);
  EXPECT_EQ(turns_ahead(policy_, 1, 1), 0U) << "they gather at one worker";
  EXPECT_EQ(turns_ahead(other_, 1, 1), 0U);
}

TEST_F(WakePolicyTest, AWorkerWithSmallPacketsHasNoPartInIt) {
  turns_ahead(other_, 10 * WakeTrials::kTrial, 0);
  EXPECT_EQ(turns_ahead(policy_, WakeTrials::kTrial, kMany), 0U);
  EXPECT_EQ(turns_ahead(policy_, WakeTrials::kTrial, 1), 1U);
}

}  // namespace
}  // namespace vipgate
