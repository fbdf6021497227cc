#include "flow/flow_index.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "flow/flow_samples.h"

namespace vipgate::test {
namespace {

constexpr std::uint64_t kSeed = 42;
constexpr Direction kBoth[] = {Direction::original, Direction::reply};

const Tuple& tuple_of(const FlowRecord& flow, Direction direction) {
  return direction == Direction::original ? flow.original : flow.reply;
}

/// An index beside the naive one: a map of tuples. Flow ids are places in the storage.
class CheckedIndex {
 public:
  explicit CheckedIndex(std::size_t flows)
      : storage_(flows), index_(storage_.buckets, storage_.records, KeyedHash(kSeed)), used_(flows) {}

  std::size_t capacity() const { return used_.size(); }
  bool used(FlowId id) const { return used_[id]; }
  std::span<const IndexBucket> buckets() const { return storage_.buckets; }

  void insert(FlowId id, const FlowRecord& flow) {
    storage_.records[id] = flow;
    used_[id] = true;
    for (const Direction direction : kBoth) {
      index_.insert(id, direction);
      model_[key(flow, direction)] = {id, direction};
    }
  }

  void erase(FlowId id) {
    for (const Direction direction : kBoth) {
      index_.erase(id, direction);
      model_.erase(key(storage_.records[id], direction));
    }
    storage_.records[id].protocol = Protocol{0};
    used_[id] = false;
  }

  /// Whether index and map say the same of both tuples of a flow: at once and in steps, and also where what was seen
  /// ahead holds no more.
  bool agrees_about(const FlowRecord& flow) const {
    for (const Direction direction : kBoth) {
      const Tuple& tuple = tuple_of(flow, direction);
      const std::uint64_t hash = KeyedHash(kSeed)(flow.protocol, tuple);
      const auto known = model_.find(key(flow, direction));
      for (const FlowHit probably :
           {FlowHit{}, index_.look_ahead(hash), FlowHit{0, Direction::original}, FlowHit{0, Direction::reply}}) {
        const auto found = index_.find(flow.protocol, tuple, hash, probably);
        if (static_cast<bool>(found) != (known != model_.end())) return false;
        if (found && (found.id != known->second.id || found.direction != known->second.direction)) return false;
      }
    }
    return true;
  }

 private:
  using Key = std::tuple<Protocol, Ipv4Address, std::uint16_t, Ipv4Address, std::uint16_t>;

  static Key key(const FlowRecord& flow, Direction direction) {
    const Tuple& tuple = tuple_of(flow, direction);
    return {flow.protocol, tuple.source, tuple.source_port, tuple.destination, tuple.destination_port};
  }

  FlowStorage storage_;
  FlowIndex index_;
  std::vector<bool> used_;
  std::map<Key, FlowHit> model_;
};

class FlowIndexOfSize : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Flows, FlowIndexOfSize, ::testing::Values(1, 2, 3, 7, 16, 100, 1000, 4096));

TEST_P(FlowIndexOfSize, agrees_with_a_map_through_random_use_up_to_the_brim) {
  CheckedIndex index(GetParam());
  std::mt19937 random(static_cast<std::uint32_t>(GetParam()));
  const auto universe = static_cast<std::uint32_t>(3 * GetParam());
  std::unordered_map<std::uint32_t, FlowId> where;
  std::vector<std::uint32_t> flow_at(GetParam());
  for (int round = 0; round < 100000; ++round) {
    // Tides: nearly always inserting for a while, up to every record in use, then nearly always erasing.
    const bool rising = round / 20000 % 2 == 0;
    const auto id = static_cast<FlowId>(random() % index.capacity());
    if (index.used(id)) {
      if (random() % 8 < (rising ? 1U : 7U)) {
        index.erase(id);
        where.erase(flow_at[id]);
      }
    } else if (random() % 8 < (rising ? 7U : 1U)) {
      const std::uint32_t number = static_cast<std::uint32_t>(random()) % universe;
      if (where.try_emplace(number, id).second) {
        index.insert(id, numbered_flow(number));
        flow_at[id] = number;
      }
    }
    ASSERT_TRUE(index.agrees_about(numbered_flow(static_cast<std::uint32_t>(random()) % universe)))
        << "round " << round;
  }
}

TEST_P(FlowIndexOfSize, full_finds_all_and_empty_again_is_as_new) {
  CheckedIndex index(GetParam());
  const auto flows = static_cast<std::uint32_t>(GetParam());
  for (int round = 0; round < 3; ++round) {
    for (std::uint32_t i = 0; i < flows; ++i) index.insert(i, numbered_flow(i));
    for (std::uint32_t i = 0; i < 2 * flows; ++i) ASSERT_TRUE(index.agrees_about(numbered_flow(i))) << i;
    for (std::uint32_t i = 0; i < flows; ++i) index.erase(round == 0 ? i : flows - 1 - i);
    EXPECT_TRUE(is_empty(index.buckets())) << "no tombstones, all counts taken back";
  }
}

TEST(FlowIndex, protocols_are_apart) {
  CheckedIndex index(4);
  index.insert(0, numbered_flow(0, Protocol::udp));
  EXPECT_TRUE(index.agrees_about(numbered_flow(0, Protocol::tcp)));
  index.insert(1, numbered_flow(0, Protocol::tcp));
  EXPECT_TRUE(index.agrees_about(numbered_flow(0, Protocol::tcp)));
  EXPECT_TRUE(index.agrees_about(numbered_flow(0, Protocol::udp)));
}

TEST(FlowIndex, Rfc4787Req7_overlapping_addresses_do_not_match_wrongly) {
  CheckedIndex index(8);
  FlowRecord flow = numbered_flow(0);
  FlowRecord turned = flow;
  turned.original = flow.original.reversed();
  turned.reply = flow.reply.reversed();
  index.insert(0, flow);
  EXPECT_TRUE(index.agrees_about(turned)) << "the same endpoints the other way round are another flow";
  index.insert(1, turned);
  EXPECT_TRUE(index.agrees_about(flow));
  EXPECT_TRUE(index.agrees_about(turned));
}

/// Flows whose original tuple has what `wanted` asks of its hash.
template <typename Wanted>
std::vector<FlowRecord> flows_with(std::size_t count, Wanted wanted) {
  const KeyedHash hash(kSeed);
  std::vector<FlowRecord> flows;
  for (std::uint32_t number = 0; flows.size() < count; ++number) {
    const FlowRecord flow = numbered_flow(number);
    if (wanted(hash(flow.protocol, flow.original))) flows.push_back(flow);
  }
  return flows;
}

TEST(FlowIndex, protocols_that_meet_in_bucket_and_tag_are_told_apart) {
  ASSERT_EQ(FlowIndex::buckets_for(1), 2U);
  const KeyedHash hash(kSeed);
  std::uint32_t number = 0;
  const auto place = [&](Protocol protocol) {
    const std::uint64_t value = hash(protocol, numbered_flow(number).original);
    return std::pair(value >> 63, value & 0xffff);
  };
  while (place(Protocol::tcp) != place(Protocol::udp)) ++number;
  CheckedIndex index(1);
  index.insert(0, numbered_flow(number, Protocol::udp));
  EXPECT_TRUE(index.agrees_about(numbered_flow(number, Protocol::tcp)));
}

TEST(FlowIndex, equal_tags_are_told_apart_by_their_tuples) {
  const auto flows = flows_with(12, [](std::uint64_t hash) { return (hash & 0xffff) == 0x1234; });
  CheckedIndex index(16);
  for (FlowId id = 0; id < 8; ++id) index.insert(id, flows[id]);
  for (const FlowRecord& flow : flows) EXPECT_TRUE(index.agrees_about(flow));
  for (FlowId id = 0; id < 8; id += 2) index.erase(id);
  for (const FlowRecord& flow : flows) EXPECT_TRUE(index.agrees_about(flow));
}

TEST(FlowIndex, tag_of_zero_is_not_taken_for_an_empty_entry) {
  const auto flows = flows_with(4, [](std::uint64_t hash) { return (hash & 0xffff) == 0; });
  CheckedIndex index(8);
  for (FlowId id = 0; id < 4; ++id) index.insert(id, flows[id]);
  for (const FlowRecord& flow : flows) EXPECT_TRUE(index.agrees_about(flow));
  for (FlowId id = 0; id < 4; ++id) index.erase(id);
  EXPECT_TRUE(is_empty(index.buckets()));
}

TEST(FlowIndex, crowd_in_the_last_bucket_goes_on_at_the_first) {
  constexpr std::size_t kFlows = 60;
  const std::size_t buckets = FlowIndex::buckets_for(kFlows);
  const auto flows =
      flows_with(kFlows, [&](std::uint64_t hash) { return (hash >> 32) * buckets >> 32 == buckets - 1; });
  CheckedIndex index(kFlows);
  for (FlowId id = 0; id < kFlows; ++id) index.insert(id, flows[id]);
  EXPECT_GT(index.buckets().back().passed_on, 0U);
  for (const FlowRecord& flow : flows) ASSERT_TRUE(index.agrees_about(flow));
  // Holes in the crowd do not cut off those behind them.
  for (FlowId id = 0; id < kFlows; id += 3) {
    index.erase(id);
    for (const FlowRecord& flow : flows) ASSERT_TRUE(index.agrees_about(flow));
  }
}

TEST(FlowIndex, costs_no_more_than_its_share_of_176_bytes_a_flow) {
  for (const std::size_t flows : {1000U, 4096U, 1000000U}) {
    const std::size_t bytes = FlowIndex::buckets_for(flows) * sizeof(IndexBucket) + flows * sizeof(FlowRecord);
    EXPECT_LE(bytes, 176 * flows + 2 * sizeof(IndexBucket)) << flows;
  }
}

}  // namespace
}  // namespace vipgate::test
