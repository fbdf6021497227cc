#include "nat/allocated_port.h"

#include <gtest/gtest.h>

#include <set>

#include "flow/flow_samples.h"
#include "nat/egress.h"

namespace vipgate::test {
namespace {

constexpr auto kAnything = [](std::uint16_t) { return true; };

TEST(FindPort, visits_each_port_of_the_shard_once_and_no_other) {
  for (const PortRange range : {kHelperPorts, kEgressPorts, PortRange{1024, 65535}}) {
    for (const std::uint8_t shard : std::initializer_list<std::uint8_t>{0, 1, 31, 63}) {
      std::set<std::uint16_t> seen;
      const auto found = find_port(range, shard, 7, 12345, [&](std::uint16_t port) {
        EXPECT_TRUE(seen.insert(port).second);
        EXPECT_TRUE(range.contains(port));
        EXPECT_EQ(shard_of_port(port), shard);
        return false;
      });
      EXPECT_FALSE(found);
      EXPECT_EQ(seen.size(), (range.last - range.first + 1U) / kShards);
    }
  }
}

TEST(FindPort, Rfc4787Req4_keeps_parity_where_it_can) {
  for (std::uint64_t random = 0; random < 1000; ++random) {
    for (const std::uint16_t like : std::initializer_list<std::uint16_t>{5000, 5001}) {
      EXPECT_EQ(*find_port(kEgressPorts, 5, like, random, kAnything) % 2, like % 2);
    }
  }
  EXPECT_EQ(*find_port(kEgressPorts, 5, 5000, 1, [](std::uint16_t port) { return port % 2 == 1; }) % 2, 1)
      << "another rather than none";
}

TEST(FindPort, Rfc6056_begins_anywhere) {
  std::set<std::uint16_t> first;
  for (std::uint64_t random = 0; random < 1000; ++random)
    first.insert(*find_port(kEgressPorts, 9, 1, random, kAnything));
  EXPECT_EQ(first.size(), 192U);
}

TEST(ChooseEgressPort, Rfc4787Req3_never_gives_a_port_to_two_endpoints) {
  FlowStorage storage(1000);
  FlowTable flows(storage.records, storage.buckets, KeyedHash(1));
  const KeyedHash hash(1);
  const Ipv4Address vip(0xcb00710a);
  std::set<std::uint16_t> given;
  for (std::uint16_t n = 0; n < 384; ++n) {
    const Endpoint host{Ipv4Address(0x0a000002), static_cast<std::uint16_t>(2000 + n)};
    const auto port = choose_egress_port(Protocol::udp, host, vip, 3, flows, hash);
    ASSERT_TRUE(port) << n;
    EXPECT_TRUE(given.insert(*port).second);
    EXPECT_EQ(shard_of_port(*port), 3);
    flows.insert(make_mapping(Protocol::udp, host, {vip, *port}, Time()), std::chrono::hours(1));
  }
  const Endpoint late{Ipv4Address(0x0a000003), 2000};
  EXPECT_FALSE(choose_egress_port(Protocol::udp, late, vip, 3, flows, hash));
  EXPECT_TRUE(choose_egress_port(Protocol::tcp, late, vip, 3, flows, hash)) << "each protocol has its own";
  EXPECT_TRUE(choose_egress_port(Protocol::udp, late, Ipv4Address(0xcb00710b), 3, flows, hash)) << "each VIP too";
}

}  // namespace
}  // namespace vipgate::test
