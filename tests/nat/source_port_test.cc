#include "nat/source_port.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iterator>
#include <map>
#include <random>
#include <set>
#include <tuple>

#include "flow/flow_samples.h"
#include "support/packet_builder.h"

namespace vipgate::test {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr std::uint8_t kShard = 37;
constexpr Time kNow{seconds(100000)};

const Endpoint kBackend = endpoint("10.0.0.2:8080");
const Ipv4Address kMasquerade = address("203.0.113.14");

/// The flows of one shard, whose source ports are chosen as the engine does it.
class Shard {
 public:
  explicit Shard(std::size_t flows = 4096, std::uint64_t seed = 1)
      : storage_(flows), table_(storage_.records, storage_.buckets, KeyedHash(seed)), hash_(seed), sharding_(seed) {}

  FlowTable& table() { return table_; }
  const Sharding& sharding() const { return sharding_; }

  static SourceRequest request(const Endpoint& client, const Endpoint& backend = kBackend,
                               Protocol protocol = Protocol::tcp) {
    return {.protocol = protocol,
            .client = client,
            .backend = backend,
            .source = kMasquerade,
            .shard = kShard,
            .syn = nullptr};
  }
  /// A client like no other.
  static Endpoint client(std::uint32_t number) {
    return {Ipv4Address(0xc6330000 + number / 50000), static_cast<std::uint16_t>(1024 + number % 50000)};
  }

  std::optional<SourcePort> choose(const SourceRequest& request, Time now = kNow) const {
    return choose_masquerade_port(request, table_, pools_, hash_, now);
  }
  std::optional<SourcePort> choose_preserved(SourceRequest request, Time now = kNow) const {
    request.source = request.client.address;
    request.shard = sharding_.of_endpoint(request.client);
    return choose_preserved_port(request, table_, sharding_, hash_, now);
  }

  FlowId open(const SourceRequest& request, std::uint16_t port, FlowClass flow_class = FlowClass::live) {
    FlowRecord flow{};
    flow.protocol = request.protocol;
    flow.original = {request.client.address, address("203.0.113.10"), request.client.port, 80};
    flow.reply = {request.backend.address, request.source, request.backend.port, port};
    flow.flow_class = flow_class;
    flow.last_seen = kNow;
    pools_.flow_begins(flow.protocol, flow.reply);
    return table_.insert(flow, seconds(240));
  }
  void end(FlowId id) {
    pools_.flow_ends(table_[id].protocol, table_[id].reply);
    table_.erase(id);
  }

  /// Fills every port toward the backend with flows of that class.
  std::map<std::uint16_t, FlowId> fill(FlowClass flow_class) {
    std::map<std::uint16_t, FlowId> flows;
    for (std::uint32_t i = 0; i < kPortsOfShard; ++i) {
      const SourceRequest next = request(client(i));
      const auto source = choose(next);
      if (!source || source->reclaimed != kNoFlow) break;
      flows[source->port] = open(next, source->port);
    }
    for (const auto& [port, id] : flows) table_.update(id, flow_class, seconds(240));
    return flows;
  }

 private:
  FlowStorage storage_;
  FlowTable table_;
  mutable PortPools pools_;
  KeyedHash hash_;
  Sharding sharding_;
};

TEST(MasqueradePort, the_first_is_foreseen) {
  Shard shard(4096, 1);
  for (std::uint32_t i = 0; i < 100; ++i) {
    const SourceRequest request = Shard::request(Shard::client(i));
    EXPECT_EQ(shard.choose(request)->port, first_masquerade_port(request, KeyedHash(1)));
  }
}

TEST(MasqueradePort, all_1008_of_a_shard_serve_before_any_flow_is_refused) {
  Shard shard;
  std::set<std::uint16_t> used;
  for (std::uint32_t i = 0; i < kPortsOfShard; ++i) {
    const SourceRequest request = Shard::request(Shard::client(i));
    const auto source = shard.choose(request);
    ASSERT_TRUE(source) << i;
    EXPECT_EQ(source->reclaimed, kNoFlow);
    EXPECT_TRUE(used.insert(source->port).second) << source->port << " is used already";
    EXPECT_EQ(shard_of_port(source->port), kShard) << "replies have to lead back";
    EXPECT_GE(source->port, kFirstSourcePort);
    ASSERT_NE(shard.open(request, source->port), kNoFlow);
  }
  EXPECT_FALSE(shard.choose(Shard::request(Shard::client(5000))));
}

TEST(MasqueradePort, Fault11_exhausted_toward_one_backend_is_free_toward_others) {
  Shard shard;
  ASSERT_EQ(shard.fill(FlowClass::live).size(), kPortsOfShard);
  const Endpoint client = Shard::client(5000);
  EXPECT_FALSE(shard.choose(Shard::request(client)));
  EXPECT_TRUE(shard.choose(Shard::request(client, endpoint("10.0.0.3:8080"))));
  EXPECT_TRUE(shard.choose(Shard::request(client, endpoint("10.0.0.2:8081"))));
  EXPECT_TRUE(shard.choose(Shard::request(client, kBackend, Protocol::udp)));
  SourceRequest other_address = Shard::request(client);
  other_address.source = address("203.0.113.13");
  EXPECT_TRUE(shard.choose(other_address));
}

TEST(MasqueradePort, every_shard_uses_ports_of_its_own) {
  const Shard shard;
  for (std::uint8_t i = 0; i < kShards; ++i) {
    for (std::uint32_t client = 0; client < 200; ++client) {
      SourceRequest request = Shard::request(Shard::client(client));
      request.shard = i;
      const auto source = shard.choose(request);
      ASSERT_TRUE(source);
      ASSERT_EQ(shard_of_port(source->port), i);
      ASSERT_GE(source->port, kFirstSourcePort);
    }
  }
}

TEST(MasqueradePort, agrees_with_a_set_of_ports_through_random_use) {
  Shard shard;
  std::mt19937 random(1);
  using Key = std::tuple<Endpoint, std::uint16_t>;
  std::map<Key, FlowId> used;
  std::map<Endpoint, std::size_t> used_toward;
  const Endpoint backends[] = {kBackend, endpoint("10.0.0.3:80")};
  for (std::uint32_t round = 0; round < 20000; ++round) {
    const Endpoint& backend = backends[random() % 2];
    if (random() % 100 < 60) {
      const SourceRequest request = Shard::request(Shard::client(round), backend);
      const auto source = shard.choose(request);
      ASSERT_EQ(source.has_value(), used_toward[backend] < kPortsOfShard);
      if (!source) continue;
      const auto [place, is_new] = used.try_emplace({backend, source->port}, shard.open(request, source->port));
      ASSERT_TRUE(is_new);
      ++used_toward[backend];
    } else if (!used.empty()) {
      auto victim = used.lower_bound({backend, static_cast<std::uint16_t>(random())});
      if (victim == used.end()) victim = used.begin();
      --used_toward[std::get<0>(victim->first)];
      shard.end(victim->second);
      used.erase(victim);
    }
  }
}

TEST(MasqueradePort, Rfc4787Req11_is_the_same_for_the_same_seed_and_flow) {
  const Shard one(64, 7);
  const Shard same(64, 7);
  const Shard other(64, 8);
  int equal = 0;
  for (std::uint32_t i = 0; i < 500; ++i) {
    const SourceRequest request = Shard::request(Shard::client(i));
    EXPECT_EQ(one.choose(request)->port, same.choose(request)->port);
    equal += one.choose(request)->port == other.choose(request)->port ? 1 : 0;
  }
  EXPECT_LT(equal, 10);
}

TEST(MasqueradePort, Rfc6056_ports_of_one_client_look_random) {
  const Shard shard;
  std::map<std::uint16_t, int> counts;
  int steps = 0;
  std::uint16_t last = 0;
  constexpr std::uint32_t kFlows = 20000;
  for (std::uint32_t i = 0; i < kFlows; ++i) {
    const auto source = shard.choose(Shard::request({address("198.51.100.7"), static_cast<std::uint16_t>(1024 + i)}));
    ++counts[source->port];
    steps += std::abs(source->port - last) <= 256 ? 1 : 0;
    last = source->port;
  }
  EXPECT_EQ(counts.size(), kPortsOfShard);
  for (const auto& [port, count] : counts) EXPECT_LT(count, 50) << port;  // 20 on average
  EXPECT_LT(steps, kFlows / 50) << "neighbouring clients do not get neighbouring ports";
}

TEST(ReclaimedPort, free_port_goes_before_a_closed_flows) {
  Shard shard;
  const SourceRequest request = Shard::request(Shard::client(0));
  const std::uint16_t first_choice = shard.choose(request)->port;
  shard.open(Shard::request(Shard::client(1)), first_choice, FlowClass::closed);
  const auto source = shard.choose(request);
  ASSERT_TRUE(source);
  EXPECT_NE(source->port, first_choice);
  EXPECT_EQ(source->reclaimed, kNoFlow);
}

TEST(ReclaimedPort, closed_flow_gives_up_its_port_when_all_are_used) {
  Shard shard;
  const auto flows = shard.fill(FlowClass::closed);
  ASSERT_EQ(flows.size(), kPortsOfShard);
  const auto source = shard.choose(Shard::request(Shard::client(5000)));
  ASSERT_TRUE(source);
  EXPECT_EQ(flows.at(source->port), source->reclaimed) << "the flow to erase is the port's own";
}

TEST(ReclaimedPort, the_only_closed_flow_is_found_among_live_ones) {
  Shard shard;
  const auto flows = shard.fill(FlowClass::live);
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    const auto chosen = std::next(flows.begin(), static_cast<std::ptrdiff_t>(random() % flows.size()));
    shard.table().update(chosen->second, FlowClass::closed, seconds(240));
    const auto source = shard.choose(Shard::request(Shard::client(5000 + static_cast<std::uint32_t>(round))));
    ASSERT_TRUE(source);
    EXPECT_EQ(source->port, chosen->first);
    EXPECT_EQ(source->reclaimed, chosen->second);
    shard.table().update(chosen->second, FlowClass::live, seconds(240));
  }
}

TEST(ReclaimedPort, live_flows_keep_theirs) {
  Shard shard;
  ASSERT_EQ(shard.fill(FlowClass::live).size(), kPortsOfShard);
  EXPECT_FALSE(shard.choose(Shard::request(Shard::client(5000))));
}

TEST(ReclaimedPort, Fault11_flows_that_were_never_answered_give_theirs_up) {
  for (const FlowClass flow_class : {FlowClass::half_open, FlowClass::one_way}) {
    Shard shard;
    const auto flows = shard.fill(flow_class);
    ASSERT_EQ(flows.size(), kPortsOfShard);
    const auto source = shard.choose(Shard::request(Shard::client(5000)));
    ASSERT_TRUE(source);
    EXPECT_EQ(flows.at(source->port), source->reclaimed);
  }
}

TEST(ReclaimedPort, Fault10_of_those_looked_at_the_lowest_class_and_of_that_the_oldest_gives_way) {
  Shard shard;
  const auto flows = shard.fill(FlowClass::live);
  std::mt19937 random(2);
  std::vector<std::pair<std::uint16_t, FlowId>> some(flows.begin(), flows.end());
  for (int round = 0; round < 50; ++round) {
    // Few are not live, so that all ports are looked at, or 64 of which one gives way at the end.
    std::shuffle(some.begin(), some.end(), random);
    const auto set = [&](std::size_t i, FlowClass flow_class, Time last_seen) {
      shard.table()[some[i].second].last_seen = last_seen;
      shard.table().update(some[i].second, flow_class, seconds(240));
    };
    set(0, FlowClass::half_open, kNow);
    set(1, FlowClass::one_way, kNow - seconds(9));
    const auto source = shard.choose(Shard::request(Shard::client(5000 + static_cast<std::uint32_t>(round))));
    ASSERT_TRUE(source);
    EXPECT_TRUE(source->reclaimed == some[0].second || source->reclaimed == some[1].second);
    set(0, FlowClass::live, kNow);
    set(1, FlowClass::live, kNow);
  }
  // All half-open: the oldest of the first 65.
  for (std::size_t i = 0; i < some.size(); ++i) {
    shard.table()[some[i].second].last_seen = kNow - seconds(static_cast<int>(i % 200));
    shard.table().update(some[i].second, FlowClass::half_open, seconds(240));
  }
  int young = 0;
  for (std::uint32_t n = 0; n < 200; ++n) {
    const auto source = shard.choose(Shard::request(Shard::client(6000 + n)));
    ASSERT_TRUE(source);
    young += kNow - shard.table()[source->reclaimed].last_seen < seconds(150) ? 1 : 0;
  }
  EXPECT_LT(young, 5) << "handshakes in progress are left alone";
}

/// A shard full of flows that the backend closed first.
class BackendClosedFirst : public ::testing::Test {
 protected:
  BackendClosedFirst() {
    for (const auto& [port, id] : shard_.fill(FlowClass::closed)) {
      FlowRecord& flow = shard_.table()[id];
      flow.tcp = tcp_open({.sequence = 999,
                           .acknowledgement = 0,
                           .window = 1000,
                           .flags = tcp::kSyn,
                           .payload_length = 0,
                           .options = {}});
      flow.tcp.state = TcpState::time_wait;
      flow.tcp.flags |= TcpTrack::kClosing | TcpTrack::kReplyFirst;
    }
  }

  bool gives_up(Time now, const TcpSegment* syn = nullptr) const {
    SourceRequest request = Shard::request(Shard::client(5000));
    request.syn = syn;
    return shard_.choose(request, now).has_value();
  }
  static TcpSegment syn(std::uint32_t sequence) {
    return {.sequence = sequence,
            .acknowledgement = 0,
            .window = 1000,
            .flags = tcp::kSyn,
            .payload_length = 0,
            .options = {}};
  }

  Shard shard_;
};

TEST_F(BackendClosedFirst, keeps_its_port_for_as_long_as_time_wait_lasts) {
  EXPECT_FALSE(gives_up(kNow));
  EXPECT_FALSE(gives_up(kNow + kTimeWait - nanoseconds(1)));
  EXPECT_TRUE(gives_up(kNow + kTimeWait));
}

TEST_F(BackendClosedFirst, Rfc1122_syn_that_exceeds_the_last_takes_the_port_at_once) {
  const TcpSegment higher = syn(50000);
  const TcpSegment lower = syn(10);
  EXPECT_TRUE(gives_up(kNow, &higher));
  EXPECT_FALSE(gives_up(kNow, &lower));
}

TEST(PreservedPort, is_the_clients_own) {
  const Shard shard;
  for (const std::uint16_t port : {std::uint16_t{1}, std::uint16_t{500}, std::uint16_t{40000}, std::uint16_t{65535}}) {
    const auto source = shard.choose_preserved(Shard::request({address("198.51.100.7"), port}));
    ASSERT_TRUE(source);
    EXPECT_EQ(source->port, port);
    EXPECT_EQ(source->reclaimed, kNoFlow);
  }
}

TEST(PreservedPort, Cve2021_3773_that_collides_is_another_of_the_same_shard) {
  Shard shard;
  std::set<std::uint16_t> used;
  // One client endpoint that reaches the same backend endpoint by many ways: VIPs, or ports of one. Tries are bounded:
  // some 64 ways go.
  SourceRequest request = Shard::request(endpoint("198.51.100.7:40000"));
  request.source = request.client.address;
  const std::uint8_t own_shard = shard.sharding().of_endpoint(request.client);
  for (std::uint16_t way = 0; way < 40; ++way) {
    const auto source = shard.choose_preserved(request);
    ASSERT_TRUE(source);
    EXPECT_TRUE(used.insert(source->port).second);
    EXPECT_EQ(shard.sharding().of_endpoint({request.source, source->port}), own_shard) << "replies have to lead back";
    FlowRecord flow{};
    flow.protocol = request.protocol;
    flow.original = {request.client.address, address("203.0.113.10"), request.client.port,
                     static_cast<std::uint16_t>(80 + way)};
    flow.reply = {kBackend.address, request.source, kBackend.port, source->port};
    flow.flow_class = FlowClass::live;
    ASSERT_NE(shard.table().insert(flow, seconds(240)), kNoFlow);
  }
  EXPECT_GE(*used.begin(), kFirstSourcePort);
  EXPECT_TRUE(used.contains(40000));
}

TEST(PreservedPort, of_a_closed_flow_is_taken_over) {
  Shard shard;
  SourceRequest request = Shard::request(endpoint("198.51.100.7:40000"));
  request.source = request.client.address;
  const FlowId closed = shard.open(request, 40000, FlowClass::closed);
  const auto source = shard.choose_preserved(request);
  ASSERT_TRUE(source);
  EXPECT_EQ(source->port, 40000);
  EXPECT_EQ(source->reclaimed, closed);
}

TEST(PreservedPort, toward_another_backend_does_not_collide) {
  Shard shard;
  SourceRequest request = Shard::request(endpoint("198.51.100.7:40000"));
  request.source = request.client.address;
  shard.open(request, 40000);
  request.backend = endpoint("10.0.0.3:8080");
  EXPECT_EQ(shard.choose_preserved(request)->port, 40000);
}

}  // namespace
}  // namespace vipgate::test
