#include "flow/flow_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <map>
#include <random>

#include "flow/flow_samples.h"

namespace vipgate::test {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Time kStart{seconds(1000)};

/// A table with storage of its own.
struct Table : FlowStorage, FlowTable {
  explicit Table(std::size_t flows) : FlowStorage(flows), FlowTable(records, buckets, KeyedHash(7)) {}

  FlowId add(std::uint32_t number, FlowClass flow_class, Time now, Duration timeout) {
    FlowRecord flow = numbered_flow(number);
    flow.flow_class = flow_class;
    flow.last_seen = now;
    if (is_full()) {
      const FlowId victim = first_to_give_way();
      if (victim == kNoFlow) return kNoFlow;
      erase(victim);
      ++evicted;
    }
    return insert(flow, timeout);
  }
  std::uint64_t evicted = 0;
  bool has(std::uint32_t number) const {
    return static_cast<bool>(find(Protocol::udp, numbered_flow(number).original));
  }
};

/// The table's naive twin: a map of flows and, for each class, a list in order of arrival.
class ModelTable {
 public:
  struct Flow {
    FlowId id;
    FlowClass flow_class;
    Time last_seen;
    Duration timeout;
    Time told;  ///< when the table was last told of class and timeout: it cannot have known before

    Time deadline() const { return last_seen + timeout; }
    Time overdue() const { return std::max(deadline(), told) + ExpiryWheel::kTick; }
  };

  explicit ModelTable(std::size_t capacity) : capacity_(capacity) {}

  const std::map<std::uint32_t, Flow>& flows() const { return flows_; }
  Flow& operator[](std::uint32_t number) { return flows_.at(number); }
  bool has(std::uint32_t number) const { return flows_.contains(number); }
  bool is_full() const { return flows_.size() == capacity_; }

  /// Who gives way when room is needed.
  std::optional<std::uint32_t> victim() const {
    for (const FlowClass flow_class : {FlowClass::closed, FlowClass::half_open, FlowClass::one_way}) {
      const auto& queue = queues_[static_cast<std::size_t>(flow_class)];
      if (!queue.empty()) return queue.front();
    }
    return std::nullopt;
  }

  void insert(std::uint32_t number, const Flow& flow) {
    flows_.emplace(number, flow);
    queue_of(flow.flow_class).push_back(number);
  }
  void set_class(std::uint32_t number, FlowClass flow_class) {
    Flow& flow = flows_.at(number);
    if (flow.flow_class == flow_class) return;
    queue_of(flow.flow_class).remove(number);
    flow.flow_class = flow_class;
    queue_of(flow_class).push_back(number);
  }
  void erase(std::uint32_t number) {
    queue_of(flows_.at(number).flow_class).remove(number);
    flows_.erase(number);
  }

 private:
  std::list<std::uint32_t>& queue_of(FlowClass flow_class) { return queues_[static_cast<std::size_t>(flow_class)]; }

  std::size_t capacity_;
  std::map<std::uint32_t, Flow> flows_;
  std::list<std::uint32_t> queues_[kFlowClasses];
};

struct Case {
  std::size_t capacity;
  int rounds;
  std::int64_t origin;  ///< nanoseconds

  friend void PrintTo(const Case& c, std::ostream* out) { *out << c.capacity << " flows from " << c.origin << " ns"; }
};

/// Random use of table and model side by side.
class FlowTableAgainstModel : public ::testing::TestWithParam<Case> {
 protected:
  FlowTableAgainstModel() : now_(Duration(GetParam().origin)) {}

  std::uint32_t below(std::size_t end) { return static_cast<std::uint32_t>(random_() % end); }
  std::uint32_t random_number() { return below(2 * table_.capacity() + 2); }
  FlowClass random_class() { return static_cast<FlowClass>(below(kFlowClasses)); }
  Duration random_timeout() {
    constexpr Duration kTimeouts[] = {seconds(0),   milliseconds(300), seconds(1),    milliseconds(2500), seconds(60),
                                      seconds(240), seconds(600),      seconds(7440), hours(48)};
    return kTimeouts[below(std::size(kTimeouts))];
  }

  void insert() {
    const std::uint32_t number = random_number();
    if (model_.has(number)) return;
    // Few live flows, or small tables would soon hold nothing else.
    const FlowClass flow_class = below(4) == 0 ? FlowClass::live : static_cast<FlowClass>(below(3));
    const Duration timeout = random_timeout();
    const bool full = model_.is_full();
    const auto victim = full ? model_.victim() : std::nullopt;
    const FlowId id = table_.add(number, flow_class, now_, timeout);
    if (full && !victim) {
      ASSERT_EQ(id, kNoFlow) << "live flows are never evicted";
      return;
    }
    ASSERT_NE(id, kNoFlow);
    if (victim) {
      ++evicted_;
      model_.erase(*victim);
      ASSERT_FALSE(table_.has(*victim));
    }
    model_.insert(number, {id, flow_class, now_, timeout, now_});
  }

  void update() {
    const std::uint32_t number = random_number();
    if (!model_.has(number)) return;
    const FlowClass flow_class = random_class();
    ModelTable::Flow& flow = model_[number];
    if (below(2) == 0) flow.last_seen = table_[flow.id].last_seen = now_;
    flow.timeout = random_timeout();
    flow.told = now_;
    model_.set_class(number, flow_class);
    table_.update(flow.id, flow_class, flow.timeout);
  }

  void touch() {
    const std::uint32_t number = random_number();
    if (model_.has(number)) table_[model_[number].id].last_seen = model_[number].last_seen = now_;
  }

  void erase() {
    const std::uint32_t number = random_number();
    if (!model_.has(number)) return;
    table_.erase(model_[number].id);
    model_.erase(number);
  }

  void look() {
    const std::uint32_t number = random_number();
    const FlowRecord flow = numbered_flow(number);
    const auto original = table_.find(flow.protocol, flow.original);
    const auto reply = table_.find(flow.protocol, flow.reply);
    ASSERT_EQ(static_cast<bool>(original), model_.has(number));
    ASSERT_EQ(static_cast<bool>(reply), model_.has(number));
    if (!original) return;
    ASSERT_EQ(original.id, model_[number].id);
    ASSERT_EQ(original.direction, Direction::original);
    ASSERT_EQ(reply.id, model_[number].id);
    ASSERT_EQ(reply.direction, Direction::reply);
    ASSERT_EQ(table_[original.id].flow_class, model_[number].flow_class);
  }

  void pass_time() {
    const std::uint32_t kind = below(100);
    if (kind < 60)
      now_ += milliseconds(below(1500));
    else if (kind < 97)
      now_ += seconds(below(200));
    else if (kind < 99)
      now_ += hours(below(4));
    else
      now_ += hours(72);
    const bool all = below(2) == 0;
    std::size_t ended = 0;
    table_.expire(
        now_, all ? 1000000 : below(4), [&](const FlowRecord& flow) { return model_[flow.generation].timeout; },
        [&](FlowId id) {
          table_.erase(id);
          ++ended;
        });
    std::size_t gone = 0;
    const auto flows = model_.flows();
    for (const auto& [number, flow] : flows) {
      if (table_.has(number)) {
        ASSERT_TRUE(!all || flow.overdue() > now_) << "more than a tick late";
      } else {
        ASSERT_LE(flow.deadline(), now_) << "ended too early";
        ++gone;
        model_.erase(number);
      }
    }
    ASSERT_EQ(ended, gone);
  }

  Table table_{GetParam().capacity};
  ModelTable model_{GetParam().capacity};
  std::mt19937 random_{static_cast<std::uint32_t>(GetParam().capacity)};
  Time now_;
  std::uint64_t evicted_ = 0;
};

TEST_P(FlowTableAgainstModel, random_use_agrees) {
  for (int round = 0; round < GetParam().rounds; ++round) {
    const std::uint32_t kind = below(1000);
    const std::uint32_t passing = GetParam().capacity > 100 ? 4 : 40;  // the naive look at all flows is dear
    if (kind < passing)
      pass_time();
    else if (kind < 350)
      insert();
    else if (kind < 550)
      update();
    else if (kind < 700)
      touch();
    else if (kind < 750)
      erase();
    else
      look();
    if (HasFatalFailure()) FAIL() << "in round " << round;
    ASSERT_EQ(table_.size(), model_.flows().size());
  }
  EXPECT_EQ(table_.evicted, evicted_);
  EXPECT_GT(evicted_, 0U) << "the table has to have been full";
}

INSTANTIATE_TEST_SUITE_P(Sizes, FlowTableAgainstModel,
                         ::testing::Values(Case{1, 100000, 0}, Case{2, 100000, 0},
                                           Case{3, 100000, 1'700'000'000'000'000'000},
                                           Case{17, 200000, 1'700'000'000'999'999'999}, Case{64, 200000, 0},
                                           Case{1024, 200000, 1'700'000'000'000'000'000}));

TEST(FlowTable, room_is_made_closed_first_then_half_open_then_one_way_oldest_first) {
  Table table(8);
  const FlowClass arrivals[] = {FlowClass::one_way, FlowClass::live,   FlowClass::half_open, FlowClass::closed,
                                FlowClass::one_way, FlowClass::closed, FlowClass::live,      FlowClass::half_open};
  for (std::uint32_t i = 0; i < 8; ++i) table.add(i, arrivals[i], kStart + seconds(i), seconds(240));
  std::uint32_t next = 8;
  for (const std::uint32_t victim : {3U, 5U, 2U, 7U, 0U, 4U}) {
    EXPECT_TRUE(table.has(victim));
    EXPECT_NE(table.add(next++, FlowClass::live, kStart + seconds(10), seconds(240)), kNoFlow);
    EXPECT_FALSE(table.has(victim)) << victim;
  }
  EXPECT_EQ(table.evicted, 6U);
}

TEST(FlowTable, Rfc6888_full_of_live_flows_refuses_the_new_one_and_keeps_all) {
  Table table(4);
  for (std::uint32_t i = 0; i < 4; ++i) table.add(i, FlowClass::live, kStart, seconds(240));
  for (const FlowClass newcomer : {FlowClass::closed, FlowClass::half_open, FlowClass::one_way, FlowClass::live}) {
    EXPECT_EQ(table.add(9, newcomer, kStart, seconds(240)), kNoFlow);
  }
  for (std::uint32_t i = 0; i < 4; ++i) EXPECT_TRUE(table.has(i));
  EXPECT_FALSE(table.has(9));
  EXPECT_EQ(table.size(), 4U);
  EXPECT_EQ(table.evicted, 0U);
  table.erase(2);
  EXPECT_NE(table.add(9, FlowClass::live, kStart, seconds(240)), kNoFlow);
}

TEST(FlowTable, Fault10_syn_flood_takes_nothing_from_live_flows) {
  constexpr std::uint32_t kLive = 500;
  Table table(1000);
  for (std::uint32_t i = 0; i < kLive; ++i) table.add(i, FlowClass::live, kStart, seconds(7440));
  Time now = kStart;
  for (std::uint32_t i = 0; i < 100000; ++i) {
    now += std::chrono::microseconds(5);  // 200,000 a second
    ASSERT_NE(table.add(kLive + i, FlowClass::half_open, now, seconds(240)), kNoFlow);
  }
  for (std::uint32_t i = 0; i < kLive; ++i) ASSERT_TRUE(table.has(i));
  for (std::uint32_t i = 0; i < 500; ++i) ASSERT_TRUE(table.has(kLive + 99999 - i)) << "the oldest go first";
  EXPECT_EQ(table.size(), 1000U);
}

TEST(FlowTable, flow_that_changed_class_is_the_youngest_of_it) {
  Table table(3);
  const FlowId first = table.add(0, FlowClass::half_open, kStart, seconds(240));
  table.add(1, FlowClass::closed, kStart, seconds(240));
  table.add(2, FlowClass::live, kStart, seconds(240));
  table.update(first, FlowClass::closed, seconds(240));
  table.add(3, FlowClass::live, kStart, seconds(240));
  EXPECT_FALSE(table.has(1));
  EXPECT_TRUE(table.has(0));
}

TEST(FlowTable, keeps_what_is_in_the_record) {
  Table table(2);
  FlowRecord flow = numbered_flow(0, Protocol::tcp);
  flow.service = 3;
  flow.backend = 4;
  flow.tcp.state = TcpState::syn_sent;
  flow.last_seen = kStart;
  const FlowId id = table.insert(flow, seconds(240));
  EXPECT_EQ(table[id].original, flow.original);
  EXPECT_EQ(table[id].reply, flow.reply);
  EXPECT_EQ(table[id].service, 3);
  EXPECT_EQ(table[id].backend, 4);
  EXPECT_EQ(table[id].tcp, flow.tcp);
  EXPECT_TRUE(table[id].in_use());
  table.erase(id);
  EXPECT_FALSE(table[id].in_use());
}

TEST(FlowTable, erased_records_are_used_before_fresh_ones) {
  Table table(100);
  const FlowId first = table.add(0, FlowClass::live, kStart, seconds(240));
  table.erase(first);
  EXPECT_EQ(table.add(1, FlowClass::live, kStart, seconds(240)), first) << "pages never used stay untouched";
}

TEST(FlowTable, emptied_table_leaves_an_empty_index) {
  Table table(500);
  std::vector<FlowId> ids;
  for (std::uint32_t i = 0; i < 500; ++i) ids.push_back(table.add(i, FlowClass::live, kStart, seconds(240)));
  std::shuffle(ids.begin(), ids.end(), std::mt19937(1));
  for (const FlowId id : ids) table.erase(id);
  EXPECT_EQ(table.size(), 0U);
  EXPECT_TRUE(is_empty(table.buckets));
}

}  // namespace
}  // namespace vipgate::test
