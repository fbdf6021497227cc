#include "nat/rate_limiter.h"

#include <gtest/gtest.h>

#include <random>

namespace vipgate::test {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

int allowed_at_once(RateLimiter& limiter, Time now) {
  int allowed = 0;
  while (allowed < 1000000 && limiter.allow(now)) ++allowed;
  return allowed;
}

TEST(RateLimiter, allows_a_burst_and_no_more) {
  for (const std::int64_t origin : {std::int64_t{0}, std::int64_t{1'700'000'000'000'000'000}}) {
    RateLimiter limiter(100, 50);
    EXPECT_EQ(allowed_at_once(limiter, Time(nanoseconds(origin))), 50) << origin;
  }
}

TEST(RateLimiter, refills_at_its_rate) {
  RateLimiter limiter(100, 50);
  const Time start{seconds(10)};
  allowed_at_once(limiter, start);
  EXPECT_EQ(allowed_at_once(limiter, start + milliseconds(9)), 0);
  EXPECT_EQ(allowed_at_once(limiter, start + milliseconds(10)), 1);
  EXPECT_EQ(allowed_at_once(limiter, start + milliseconds(110)), 10);
  EXPECT_EQ(allowed_at_once(limiter, start + hours(24)), 50) << "never more than the burst";
}

TEST(RateLimiter, agrees_with_a_bucket_of_tokens) {
  RateLimiter limiter(1000, 20);
  std::mt19937 random(1);
  Time now{seconds(10)};
  double tokens = 20;
  for (int i = 0; i < 100000; ++i) {
    const nanoseconds passed = random() % 50 == 0 ? milliseconds(random() % 100) : milliseconds(random() % 2);
    now += passed;
    tokens = std::min(20.0, tokens + static_cast<double>(passed.count()) / 1e6);
    const bool expected = tokens >= 1;
    if (expected) tokens -= 1;
    ASSERT_EQ(limiter.allow(now), expected) << i;
  }
}

TEST(RateLimiter, refused_events_cost_nothing) {
  RateLimiter limiter(10, 1);
  const Time start{seconds(10)};
  EXPECT_TRUE(limiter.allow(start));
  for (int ms = 1; ms < 100; ++ms) EXPECT_FALSE(limiter.allow(start + milliseconds(ms)));
  EXPECT_TRUE(limiter.allow(start + milliseconds(100)));
}

}  // namespace
}  // namespace vipgate::test
