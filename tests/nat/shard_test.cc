#include "nat/shard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "flow/flow_samples.h"
#include "nat/source_port.h"

namespace vipgate::test {
namespace {

const AddressRole kStranger{};
const AddressRole kVipRole{.vip = 0};
const AddressRole kMasquerade{.masquerade = true};

const Ipv4Address kVip(0xcb00710a);
const Ipv4Address kMasqueradeAddress(0xcb00710e);

Endpoint random_endpoint(std::mt19937& random) {
  return {Ipv4Address(static_cast<std::uint32_t>(random())), static_cast<std::uint16_t>(1 + random() % 65535)};
}

TEST(Sharding, both_directions_of_masquerade_flows_agree) {
  std::mt19937 random(1);
  FlowStorage storage(16);
  const FlowTable flows(storage.records, storage.buckets, KeyedHash(1));
  PortPools pools;
  for (const std::uint64_t seed : {0U, 1U, 77U}) {
    const Sharding sharding(seed);
    const KeyedHash hash(seed);
    for (int i = 0; i < 20000; ++i) {
      const Endpoint client = random_endpoint(random);
      const Endpoint backend = random_endpoint(random);
      const std::uint8_t shard = sharding.of_packet({client.address, kVip, client.port, 80}, false, kVipRole);
      const auto source = choose_masquerade_port({.protocol = Protocol::tcp,
                                                  .client = client,
                                                  .backend = backend,
                                                  .source = kMasqueradeAddress,
                                                  .shard = shard},
                                                 flows, pools, hash, Time());
      ASSERT_TRUE(source);
      const Tuple reply{backend.address, kMasqueradeAddress, backend.port, source->port};
      ASSERT_EQ(sharding.of_packet(reply, false, kMasquerade), shard);
      ASSERT_EQ(sharding.of_packet(reply, true, kMasquerade), shard) << "whatever else the backend is";
    }
  }
}

TEST(Sharding, both_directions_of_preserve_flows_agree) {
  std::mt19937 random(2);
  const Sharding sharding(5);
  for (int i = 0; i < 50000; ++i) {
    const Endpoint client = random_endpoint(random);
    const Endpoint backend = random_endpoint(random);
    const std::uint8_t shard = sharding.of_packet({client.address, kVip, client.port, 80}, false, kVipRole);
    const Tuple reply{backend.address, client.address, backend.port, client.port};
    ASSERT_EQ(sharding.of_packet(reply, true, kStranger), shard);
  }
}

TEST(Sharding, preserve_backend_that_is_a_client_itself_counts_as_one) {
  const Sharding sharding(5);
  const Tuple request{Ipv4Address(0x0a000002), kVip, 40000, 80};
  EXPECT_EQ(sharding.of_packet(request, true, kVipRole), sharding.of_endpoint({Ipv4Address(0x0a000002), 40000}));
}

TEST(Sharding, packet_of_no_known_address_belongs_to_its_source) {
  const Sharding sharding(5);
  const Tuple tuple{Ipv4Address(0x0a000002), Ipv4Address(0x08080808), 40000, 53};
  EXPECT_EQ(sharding.of_packet(tuple, false, kStranger), sharding.of_endpoint(tuple.source_endpoint()));
}

TEST(Sharding, shards_get_their_share_of_clients) {
  for (const std::uint64_t seed : {0U, 1U, 2U}) {
    const Sharding sharding(seed);
    std::vector<int> counts(kShards);
    constexpr int kClients = 64000;
    for (int i = 0; i < kClients; ++i) {
      ++counts.at(sharding.of_endpoint({Ipv4Address(0xc6336400 + static_cast<std::uint32_t>(i / 1000)),
                                        static_cast<std::uint16_t>(32768 + 2 * (i % 1000))}));
    }
    EXPECT_GT(*std::min_element(counts.begin(), counts.end()), 1000 - 160);  // five standard deviations
    EXPECT_LT(*std::max_element(counts.begin(), counts.end()), 1000 + 160);
  }
}

TEST(Sharding, seeds_cut_the_flow_space_differently) {
  const Sharding one(1);
  const Sharding two(2);
  std::mt19937 random(3);
  int same = 0;
  for (int i = 0; i < 6400; ++i) {
    const Endpoint endpoint = random_endpoint(random);
    same += one.of_endpoint(endpoint) == two.of_endpoint(endpoint) ? 1 : 0;
  }
  EXPECT_NEAR(same, 100, 50);
}

TEST(ShardOfPort, Rfc4787Req4_pairs_of_ports_stay_together) {
  std::vector<int> counts(kShards);
  for (std::uint32_t port = 0; port <= 65535; ++port) {
    const std::uint8_t shard = shard_of_port(static_cast<std::uint16_t>(port));
    ++counts.at(shard);
    EXPECT_EQ(shard, shard_of_port(static_cast<std::uint16_t>(port ^ 1)));
  }
  for (const int count : counts) EXPECT_EQ(count, 1024);
}

}  // namespace
}  // namespace vipgate::test
