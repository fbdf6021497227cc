#include "flow/expiry_wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "flow/flow_samples.h"
#include "flow/flow_table.h"

namespace vipgate::test {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

/// Flows with a timeout each, in a table that begins at `origin`.
class Silence {
 public:
  Silence(std::size_t flows, Time origin)
      : storage_(flows), table_(storage_.records, storage_.buckets, KeyedHash(1)), now_(origin) {}

  Time now() const { return now_; }
  void pass(Duration time) { now_ += time; }
  FlowTable& table() { return table_; }
  std::size_t looks() const { return looks_; }

  FlowId add(Duration timeout) {
    FlowRecord flow = numbered_flow(static_cast<std::uint32_t>(timeouts_.size()));
    flow.last_seen = now_;
    timeouts_.push_back(timeout);
    return table_.insert(flow, timeout);
  }
  void packet(FlowId id) { table_[id].last_seen = now_; }
  void set_timeout(FlowId id, Duration timeout) {
    timeouts_[table_[id].generation] = timeout;
    table_.update(id, FlowClass::live, timeout);
  }

  /// Ends what is due; returns how many.
  std::size_t expire(std::size_t budget = 1000000) {
    std::size_t ended = 0;
    const auto timeout_of = [&](const FlowRecord& flow) {
      ++looks_;
      return timeouts_[flow.generation];
    };
    table_.expire(now_, budget, timeout_of, [&](FlowId id) {
      table_.erase(id);
      ++ended;
    });
    return ended;
  }
  bool lives(FlowId id) const { return storage_.records[id].in_use(); }

 private:
  FlowStorage storage_;
  FlowTable table_;
  std::vector<Duration> timeouts_;
  Time now_;
  std::size_t looks_ = 0;
};

class ExpiryFrom : public ::testing::TestWithParam<std::int64_t> {
 protected:
  Time origin() const { return Time(nanoseconds(GetParam())); }
};
// The beginning of time, a clock since boot, a capture's clock, and the ends of a tick.
INSTANTIATE_TEST_SUITE_P(Origins, ExpiryFrom,
                         ::testing::Values(0, 1, 999'999'999, 86'400'000'000'000, 1'700'000'000'000'000'000,
                                           1'700'000'000'999'999'999));

TEST_P(ExpiryFrom, no_flow_ends_before_its_deadline_nor_more_than_a_tick_after) {
  constexpr Duration kStep = milliseconds(100);
  Silence silence(1000, origin());
  std::mt19937 random(1);
  std::map<FlowId, Time> deadlines;
  for (int i = 0; i < 1000; ++i) {
    const Duration timeout = milliseconds(random() % (i % 2 == 0 ? 1200000 : 5000));
    deadlines[silence.add(timeout)] = silence.now() + timeout;
  }
  while (!deadlines.empty()) {
    silence.expire();
    for (auto it = deadlines.begin(); it != deadlines.end();) {
      const auto [id, deadline] = *it;
      if (silence.lives(id)) {
        ASSERT_GT(deadline + ExpiryWheel::kTick, silence.now()) << "flow " << id << " is overdue";
        ++it;
      } else {
        ASSERT_LE(deadline, silence.now()) << "flow " << id << " ended early";
        it = deadlines.erase(it);
      }
    }
    silence.pass(kStep);
  }
}

TEST_P(ExpiryFrom, deadline_itself_is_the_first_moment_that_may_end_a_flow) {
  Silence silence(1, origin());
  const FlowId id = silence.add(seconds(120));
  silence.pass(seconds(120) - nanoseconds(1));
  EXPECT_EQ(silence.expire(), 0U);
  EXPECT_TRUE(silence.lives(id));
  silence.pass(nanoseconds(1) + ExpiryWheel::kTick);
  EXPECT_EQ(silence.expire(), 1U);
  EXPECT_FALSE(silence.lives(id));
}

TEST_P(ExpiryFrom, packets_move_the_deadline_without_telling_the_wheel) {
  Silence silence(1, origin());
  const FlowId id = silence.add(seconds(10));
  for (int i = 0; i < 1000; ++i) {
    silence.pass(seconds(9));
    ASSERT_EQ(silence.expire(), 0U) << i;
    silence.packet(id);
  }
  silence.pass(seconds(11));
  EXPECT_EQ(silence.expire(), 1U);
}

TEST_P(ExpiryFrom, earlier_deadline_is_met) {
  Silence silence(3, origin());
  silence.expire();
  const FlowId id = silence.add(seconds(7440));
  const FlowId other = silence.add(seconds(7440));
  silence.pass(seconds(30));
  silence.packet(id);
  silence.set_timeout(id, seconds(10));
  silence.pass(seconds(10) - nanoseconds(1));
  EXPECT_EQ(silence.expire(), 0U);
  silence.pass(seconds(1) + nanoseconds(1));
  EXPECT_EQ(silence.expire(), 1U);
  EXPECT_FALSE(silence.lives(id));
  EXPECT_TRUE(silence.lives(other));
}

TEST_P(ExpiryFrom, later_deadline_is_found_out_when_the_slot_comes) {
  Silence silence(1, origin());
  const FlowId id = silence.add(seconds(240));
  silence.pass(seconds(1));
  silence.packet(id);
  silence.set_timeout(id, seconds(7440));
  silence.pass(seconds(7439));
  EXPECT_EQ(silence.expire(), 0U);
  EXPECT_TRUE(silence.lives(id));
  silence.pass(seconds(2));
  EXPECT_EQ(silence.expire(), 1U);
}

TEST_P(ExpiryFrom, long_timeouts_are_looked_at_a_few_times_only) {
  Silence silence(1, origin());
  silence.expire();
  const FlowId id = silence.add(seconds(7440));
  for (int second = 0; second <= 7441; ++second) {
    silence.expire();
    silence.pass(seconds(1));
  }
  EXPECT_FALSE(silence.lives(id));
  EXPECT_LE(silence.looks(), 7440U / (ExpiryWheel::kSlots - 1) + 2);
}

TEST_P(ExpiryFrom, silent_flow_is_looked_at_once) {
  Silence silence(1, origin());
  silence.expire();
  const FlowId id = silence.add(milliseconds(10500));
  for (int step = 0; step < 120; ++step) {
    silence.pass(milliseconds(100));
    silence.expire();
  }
  EXPECT_FALSE(silence.lives(id));
  EXPECT_EQ(silence.looks(), 1U);
}

TEST_P(ExpiryFrom, jump_of_days_ends_what_is_due_and_nothing_else) {
  Silence silence(600, origin());
  std::vector<FlowId> due;
  std::vector<FlowId> lasting;
  for (int i = 0; i < 300; ++i) {
    due.push_back(silence.add(seconds(i * 7)));
    lasting.push_back(silence.add(hours(24 * 10) + seconds(i)));
  }
  silence.expire(1);
  silence.pass(hours(24 * 3));
  silence.expire();
  for (const FlowId id : due) EXPECT_FALSE(silence.lives(id));
  for (const FlowId id : lasting) EXPECT_TRUE(silence.lives(id));
  silence.pass(hours(24 * 7) + seconds(301));
  silence.expire();
  EXPECT_EQ(silence.table().size(), 0U);
}

TEST(Expiry, work_of_a_call_is_bounded_by_its_budget) {
  Silence silence(1000, Time(seconds(5000)));
  for (int i = 0; i < 1000; ++i) silence.add(seconds(240));
  silence.pass(hours(72));
  for (std::size_t call = 1; call <= 10; ++call) {
    EXPECT_EQ(silence.expire(100), 100U);
    EXPECT_EQ(silence.looks(), 100 * call);
  }
  EXPECT_EQ(silence.expire(100), 0U);
  EXPECT_EQ(silence.table().size(), 0U);
}

TEST(Expiry, budget_is_spent_on_looks_not_on_ends_alone) {
  Silence silence(100, Time(seconds(5000)));
  silence.expire();
  std::vector<FlowId> flows;
  for (int i = 0; i < 100; ++i) flows.push_back(silence.add(seconds(10)));
  silence.pass(seconds(9));
  for (const FlowId id : flows) silence.packet(id);
  silence.pass(seconds(5));
  EXPECT_EQ(silence.expire(30), 0U);
  EXPECT_EQ(silence.looks(), 30U);
}

TEST(Expiry, time_that_stands_still_or_goes_back_ends_nothing) {
  Silence silence(10, Time(seconds(5000)));
  for (int i = 0; i < 10; ++i) silence.add(seconds(2));
  silence.expire();
  silence.pass(seconds(1));
  silence.expire();
  silence.pass(-hours(1));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(silence.expire(), 0U);
  silence.pass(hours(1) + seconds(2));
  EXPECT_EQ(silence.expire(), 10U);
}

TEST(Expiry, next_tick_says_when_there_can_be_something_to_do) {
  Silence silence(1, Time(milliseconds(5'000'700)));
  silence.expire();
  EXPECT_EQ(silence.table().next_tick(), Time(seconds(5001)));
  silence.pass(milliseconds(300));
  silence.expire();
  EXPECT_EQ(silence.table().next_tick(), Time(seconds(5002)));
}

}  // namespace
}  // namespace vipgate::test
