#include "flow/hash.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <set>
#include <vector>

#include "flow/flow_samples.h"

namespace vipgate::test {
namespace {

/// How far counts of even chances stray from their mean, in standard deviations of chi-square; a fair hash stays within
/// a few.
double strays(const std::vector<std::size_t>& counts, std::size_t total) {
  const double mean = static_cast<double>(total) / static_cast<double>(counts.size());
  double chi_square = 0;
  for (const std::size_t count : counts) chi_square += std::pow(static_cast<double>(count) - mean, 2) / mean;
  const auto freedom = static_cast<double>(counts.size() - 1);
  return (chi_square - freedom) / std::sqrt(2 * freedom);
}

/// What people's traffic looks like: few bits that change, in all the wrong places.
struct Traffic {
  const char* name;
  std::function<Tuple(std::uint32_t)> tuple;
};

const Traffic kTraffic[] = {
    {"ports of one client",
     [](std::uint32_t i) {
       return Tuple{Ipv4Address(1), Ipv4Address(2), static_cast<std::uint16_t>(i), 80};
     }},
    {"even ports of one client",
     [](std::uint32_t i) {
       return Tuple{Ipv4Address(1), Ipv4Address(2 + (i >> 15)), static_cast<std::uint16_t>(2 * i), 80};
     }},
    {"neighbours",
     [](std::uint32_t i) {
       return Tuple{Ipv4Address(0x0a000000 + i), Ipv4Address(2), 5060, 5060};
     }},
    {"networks",
     [](std::uint32_t i) {
       return Tuple{Ipv4Address(i << 16 | 1), Ipv4Address(2), 123, 123};
     }},
    {"destinations",
     [](std::uint32_t i) {
       return Tuple{Ipv4Address(1), Ipv4Address(i << 8), 0, 0};
     }},
    {"scan",
     [](std::uint32_t i) {
       return Tuple{Ipv4Address(1), Ipv4Address(2), 40000, static_cast<std::uint16_t>(i)};
     }},
    {"address and port in step",
     [](std::uint32_t i) {
       return Tuple{Ipv4Address(i), Ipv4Address(2), static_cast<std::uint16_t>(i), 80};
     }},
};
constexpr std::uint32_t kTuples = 65536;

TEST(KeyedHash, every_group_of_bits_is_even_on_everyday_traffic) {
  for (const std::uint64_t seed : {0ULL, 1ULL, 0x123456789abcdefULL, ~0ULL}) {
    const KeyedHash hash(seed);
    for (const Traffic& traffic : kTraffic) {
      for (int shift = 0; shift < 64; shift += 8) {
        std::vector<std::size_t> counts(256);
        for (std::uint32_t i = 0; i < kTuples; ++i) ++counts[hash(Protocol::tcp, traffic.tuple(i)) >> shift & 255];
        EXPECT_LT(strays(counts, kTuples), 6) << traffic.name << ", bits from " << shift << ", seed " << seed;
      }
    }
  }
}

TEST(KeyedHash, endpoints_spread_over_shards) {
  const KeyedHash hash(3);
  for (const std::uint32_t stride : {1U, 2U, 64U, 256U, 4096U}) {
    std::vector<std::size_t> counts(64);
    for (std::uint32_t i = 0; i < kTuples; ++i) {
      ++counts[hash(Endpoint{Ipv4Address(0xc6336400 + (i * stride >> 16)), static_cast<std::uint16_t>(i * stride)}) >>
                   32 &
               63];
    }
    EXPECT_LT(strays(counts, kTuples), 6) << stride;
  }
}

TEST(KeyedHash, a_changed_input_bit_changes_half_of_the_output) {
  const KeyedHash hash(5);
  for (int bit = 0; bit < 128; ++bit) {
    int changed = 0;
    constexpr int kSamples = 400;
    for (std::uint64_t i = 0; i < kSamples; ++i) {
      const std::uint64_t a = i * 0x9e3779b97f4a7c15;
      const std::uint64_t b = i * 0xd1b54a32d192ed03;
      const std::uint64_t other =
          bit < 64 ? hash(a ^ std::uint64_t{1} << bit, b) : hash(a, b ^ std::uint64_t{1} << (bit - 64));
      changed += std::popcount(hash(a, b) ^ other);
    }
    EXPECT_NEAR(changed / double{kSamples}, 32, 3) << "bit " << bit;
  }
}

TEST(KeyedHash, seeds_give_unrelated_hashes) {
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    int changed = 0;
    for (std::uint32_t i = 0; i < 200; ++i) {
      const FlowRecord flow = numbered_flow(i);
      changed += std::popcount(KeyedHash(seed)(flow.protocol, flow.original) ^
                               KeyedHash(seed + 1)(flow.protocol, flow.original));
    }
    EXPECT_NEAR(changed / 200.0, 32, 3) << seed;
  }
}

TEST(KeyedHash, is_the_same_for_the_same_seed) {
  const FlowRecord flow = numbered_flow(1);
  EXPECT_EQ(KeyedHash(9)(flow.protocol, flow.original), KeyedHash(9)(flow.protocol, flow.original));
}

TEST(KeyedHash, all_parts_of_a_tuple_count) {
  const KeyedHash hash(1);
  const Tuple tuple{Ipv4Address(0x0a000001), Ipv4Address(0x0a000002), 1, 2};
  std::set<std::uint64_t> seen;
  const auto add = [&](Protocol protocol, const Tuple& t) { EXPECT_TRUE(seen.insert(hash(protocol, t)).second); };
  add(Protocol::tcp, tuple);
  add(Protocol::udp, tuple);
  add(Protocol::tcp, tuple.reversed());
  add(Protocol::tcp, {Ipv4Address(0x0a000003), tuple.destination, 1, 2});
  add(Protocol::tcp, {tuple.source, Ipv4Address(0x0a000003), 1, 2});
  add(Protocol::tcp, {tuple.source, tuple.destination, 3, 2});
  add(Protocol::tcp, {tuple.source, tuple.destination, 1, 3});
  add(Protocol::tcp, {tuple.source, tuple.destination, 2, 1});
}

}  // namespace
}  // namespace vipgate::test
