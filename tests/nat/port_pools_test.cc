#include "nat/port_pools.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "support/packet_builder.h"

namespace vipgate::test {
namespace {

TEST(ShardsPorts, are_numbered) {
  for (std::uint8_t shard = 0; shard < kShards; ++shard) {
    for (std::uint32_t index = 0; index < kPortsOfShard; ++index) {
      const std::uint16_t port = nth_port(shard, index);
      ASSERT_EQ(shard_of_port(port), shard);
      ASSERT_GE(port, kFirstSourcePort);
      ASSERT_EQ(index_of_port(port), index);
    }
  }
}

TEST(PortPool, gives_every_port_once) {
  PortPool pool;
  std::mt19937_64 random(1);
  std::set<std::uint32_t> taken;
  while (const auto free = pool.find_free(random())) {
    ASSERT_LT(*free, kPortsOfShard);
    ASSERT_TRUE(taken.insert(*free).second) << *free << " is taken already";
    pool.take(*free);
    ASSERT_EQ(pool.free(), kPortsOfShard - taken.size());
  }
  EXPECT_EQ(taken.size(), kPortsOfShard);
}

TEST(PortPool, finds_the_only_free_one_whatever_the_random_number) {
  PortPool pool;
  for (std::uint32_t i = 0; i < kPortsOfShard; ++i) pool.take(i);
  for (const std::uint32_t only : {0U, 63U, 64U, 500U, kPortsOfShard - 1}) {
    pool.give_back(only);
    for (std::uint64_t random = 0; random < 1024; ++random) ASSERT_EQ(pool.find_free(random), only);
    pool.take(only);
    ASSERT_EQ(pool.find_free(only), std::nullopt);
  }
}

TEST(PortPool, counts_each_port_once) {
  PortPool pool;
  pool.take(7);
  pool.take(7);
  EXPECT_EQ(pool.free(), kPortsOfShard - 1);
  pool.give_back(7);
  pool.give_back(7);
  EXPECT_EQ(pool.free(), kPortsOfShard);
}

TEST(PortPool, Rfc6056_picks_at_random) {
  PortPool pool;
  std::mt19937_64 random(1);
  std::set<std::uint32_t> picked;
  for (int i = 0; i < 20'000; ++i) picked.insert(*pool.find_free(random()));
  EXPECT_EQ(picked.size(), kPortsOfShard);
}

class PortPoolsTest : public ::testing::Test {
 protected:
  static Tuple reply_to(std::uint16_t port, const Endpoint& backend = kKey.backend) {
    return {backend.address, kKey.source, backend.port, port};
  }
  static inline const PortPools::Key kKey{Protocol::tcp, endpoint("10.0.0.2:8080"), address("203.0.113.14")};
  static constexpr std::uint16_t kPort = nth_port(5, 17);

  PortPools pools_;
};

TEST_F(PortPoolsTest, have_none_at_first) {
  pools_.flow_begins(Protocol::tcp, reply_to(kPort));
  pools_.flow_ends(Protocol::tcp, reply_to(kPort));
  EXPECT_EQ(pools_.find(kKey), nullptr);
}

TEST_F(PortPoolsTest, follow_flows_of_their_own) {
  PortPool& pool = pools_.add(kKey);
  for (std::uint32_t i = 0; i < kPortsOfShard; ++i) pool.take(i);
  EXPECT_EQ(pools_.find(kKey), &pool);
  pools_.flow_ends(Protocol::udp, reply_to(kPort));
  pools_.flow_ends(Protocol::tcp, reply_to(kPort, endpoint("10.0.0.2:8081")));
  pools_.flow_ends(Protocol::tcp, reply_to(80));
  EXPECT_EQ(pool.free(), 0U);
  pools_.flow_ends(Protocol::tcp, reply_to(kPort));
  EXPECT_EQ(pool.find_free(1), 17U);
  pools_.flow_begins(Protocol::tcp, reply_to(kPort));
  EXPECT_EQ(pool.free(), 0U);
}

TEST_F(PortPoolsTest, go_when_ports_are_plenty) {
  PortPool& pool = pools_.add(kKey);
  for (std::uint32_t i = 0; i < kPortsOfShard; ++i) pool.take(i);
  std::uint32_t ended = 0;
  while (pools_.find(kKey) != nullptr) {
    ASSERT_LT(ended, kPortsOfShard);
    pools_.flow_ends(Protocol::tcp, reply_to(nth_port(5, ended++)));
  }
  EXPECT_EQ(ended, kPortsOfShard / 4);
}

TEST_F(PortPoolsTest, displace_each_other) {
  for (std::uint16_t port = 1; port < 200; ++port) {
    const PortPools::Key key{Protocol::tcp, {kKey.backend.address, port}, kKey.source};
    pools_.add(key).take(port);
    ASSERT_EQ(pools_.find(key)->free(), kPortsOfShard - 1) << "it is a fresh one";
  }
}

}  // namespace
}  // namespace vipgate::test
