#include "flow/adoption.h"

#include <gtest/gtest.h>

#include <set>

#include "flow/flow_samples.h"
#include "flow/flow_table.h"

namespace vipgate::test {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr Time kNow{hours(100)};
const KeyedHash kHash(7);

FlowRecord sealed(FlowRecord record) {
  record.seal = seal_of(record, kHash);
  return record;
}

TEST(MakeFit, WhatTheSealCoversCannotChange) {
  const FlowRecord record = sealed(numbered_flow(1));
  FlowRecord same = record;
  EXPECT_TRUE(make_fit(same, kHash, kNow));
  for (std::size_t byte = 0; byte < sizeof(FlowRecord); ++byte) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      FlowRecord flipped = record;
      reinterpret_cast<unsigned char*>(&flipped)[byte] ^= static_cast<unsigned char>(1U << bit);
      const bool is_identity = byte < offsetof(FlowRecord, flow_class) || byte == offsetof(FlowRecord, kind) ||
                               byte >= offsetof(FlowRecord, seal);
      EXPECT_EQ(make_fit(flipped, kHash, kNow), !is_identity) << "byte " << byte << " bit " << bit;
    }
  }
  FlowRecord other_key = record;
  EXPECT_FALSE(make_fit(other_key, KeyedHash(8), kNow));
}

TEST(MakeFit, FieldsHoldWhatTheyMayHold) {
  FlowRecord record = sealed(numbered_flow(1));
  record.flow_class = FlowClass{77};
  record.answered = 9;
  record.service = 3;
  record.backend = 4;
  record.last_seen = kNow + hours(5);
  ASSERT_TRUE(make_fit(record, kHash, kNow));
  EXPECT_EQ(record.flow_class, FlowClass::live);
  EXPECT_EQ(record.answered, 1);
  EXPECT_EQ(record.generation, 0U);
  EXPECT_EQ(record.service, 0xffff);
  EXPECT_EQ(record.backend, 0);
  EXPECT_EQ(record.last_seen, kNow);
  record.last_seen = Time::min();
  ASSERT_TRUE(make_fit(record, kHash, kNow));
  EXPECT_EQ(record.last_seen, Time());
}

TEST(MakeFit, TcpIsTrackedLiberallyOrNotAtAll) {
  FlowRecord record = sealed(numbered_flow(1, Protocol::tcp));
  record.tcp.state = TcpState::established;
  EXPECT_FALSE(tcp_is_liberal(record.tcp));
  ASSERT_TRUE(make_fit(record, kHash, kNow));
  EXPECT_TRUE(tcp_is_liberal(record.tcp));
  EXPECT_EQ(record.flow_class, FlowClass::live);
  record.tcp.peers[1].scale = 15;
  EXPECT_FALSE(make_fit(record, kHash, kNow));
}

TEST(AdoptedTable, FlowsAreLookedAtAtDifferentTimesAndEndAtTheirs) {
  constexpr std::size_t kFlows = 2048;
  FlowStorage storage(kFlows);
  {
    FlowTable table(storage.records, storage.buckets, kHash);
    for (std::uint32_t number = 0; number < kFlows; ++number) {
      FlowRecord flow = numbered_flow(number);
      flow.last_seen = kNow;
      ASSERT_NE(table.insert(flow, hours(2)), kNoFlow);
    }
  }
  storage.buckets.assign(storage.buckets.size(), IndexBucket{});
  FlowTable table(storage.records, storage.buckets, kHash);
  const auto adopted = table.adopt(kNow, [](const FlowRecord&) { return std::optional<Duration>(hours(2)); });
  ASSERT_EQ(adopted.flows, kFlows);

  std::size_t most = 0;
  std::size_t ended = 0;
  for (Time now = kNow; now <= kNow + hours(2) + seconds(2); now += seconds(1)) {
    std::size_t looked_at = 0;
    table.expire(
        now, kFlows,
        [&](const FlowRecord&) {
          ++looked_at;
          return Duration(hours(2));
        },
        [&](FlowId id) {
          EXPECT_GE(now, kNow + hours(2));
          table.erase(id);
          ++ended;
        });
    if (now < kNow + hours(2)) most = std::max(most, looked_at);
  }
  EXPECT_EQ(ended, kFlows);
  EXPECT_LE(most, 16U) << "four in each of the wheel's slots";
}

TEST(AdoptedTable, WhatIsNotAdmittedIsFree) {
  FlowStorage storage(64);
  {
    FlowTable table(storage.records, storage.buckets, kHash);
    for (std::uint32_t number = 0; number < 64; ++number) table.insert(numbered_flow(number), seconds(60));
    for (FlowId id = 0; id < 64; id += 3) table.erase(id);
  }
  storage.buckets.assign(storage.buckets.size(), IndexBucket{});
  FlowTable table(storage.records, storage.buckets, kHash);
  const auto adopted = table.adopt(kNow, [](const FlowRecord& record) {
    return record.original.source_port % 2 == 0 ? std::optional<Duration>(seconds(60)) : std::nullopt;
  });
  EXPECT_EQ(adopted.flows + adopted.broken, 42U);
  EXPECT_EQ(table.size(), adopted.flows);
  std::set<FlowId> ids;
  for (std::uint32_t number = 1000; !table.is_full(); ++number) {
    EXPECT_TRUE(ids.insert(table.insert(numbered_flow(number), seconds(60))).second);
  }
  EXPECT_EQ(ids.size(), 64 - adopted.flows);
  EXPECT_EQ(ids.count(kNoFlow), 0U);
}

}  // namespace
}  // namespace vipgate::test
