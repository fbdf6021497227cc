#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "engine/ftp_session.h"
#include "engine/world.h"
#include "vipgate/flow_info.h"
#include "vipgate/inspect.h"

// Looking at flows from outside.

namespace vipgate::test {
namespace {

using std::chrono::seconds;

constexpr const char* kClient = "198.51.100.7:40000";

std::vector<FlowInfo> flows_of(const World& world, std::size_t budget = SIZE_MAX) {
  std::vector<FlowInfo> flows;
  std::optional<std::uint64_t> next = 0;
  while (next) {
    next = world.engine().list(*next, budget, world.now(), [&](const FlowInfo& flow) { flows.push_back(flow); });
  }
  return flows;
}

TEST(Look, AFlowIsShownWithBothItsSidesItsServiceAndItsTime) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  world.pass_time(seconds(40));
  const auto flows = flows_of(world);
  ASSERT_EQ(flows.size(), 1U);
  const FlowInfo& flow = flows[0];
  EXPECT_EQ(flow.origin, FlowOrigin::service);
  EXPECT_EQ(flow.protocol, Protocol::tcp);
  EXPECT_EQ(flow.source, endpoint(kClient));
  EXPECT_EQ(flow.destination, endpoint("203.0.113.10:80"));
  EXPECT_EQ(flow.translated_source, endpoint(connection.source()));
  EXPECT_EQ(flow.translated_destination, endpoint("10.0.0.2:8080"));
  EXPECT_EQ(flow.state, "established");
  ASSERT_NE(flow.service, nullptr);
  EXPECT_EQ(flow.service->name, "web");
  EXPECT_EQ(flow.backend->address, address("10.0.0.2"));
  EXPECT_EQ(flow.idle, seconds(40));
  EXPECT_EQ(flow.left, seconds(7440 - 40));
}

TEST(Look, DatagramsAreAnsweredOrNot) {
  World world(rules_with({{.name = "dns", .protocols = {Protocol::udp}, .port = 53, .backends = {"10.0.0.4:53"}}}));
  const Outcome query = world.send(udp("198.51.100.7:5353", "203.0.113.10:53").payload_of(40));
  EXPECT_EQ(flows_of(world).at(0).state, "unanswered");
  world.send(udp("10.0.0.4:53", source_of(query.out[0]).to_string()).payload_of(90));
  EXPECT_EQ(flows_of(world).at(0).state, "answered");
}

TEST(Look, AHostsOwnFlowHasNoServiceAndItsMappingIsNone) {
  Rules rules = rules_with({{.name = "web"}});
  rules.egress = {{.from = *Ipv4Prefix::parse("10.0.0.0/24"), .as = address("203.0.113.10"), .except = {}}};
  World world(rules);
  ASSERT_EQ(world.send(tcp("10.0.0.9:5000", "192.0.2.80:443").syn()).verdict.action, Action::forward);
  const auto flows = flows_of(world);
  ASSERT_EQ(flows.size(), 1U) << "the mapping is no flow";
  EXPECT_EQ(flows[0].origin, FlowOrigin::egress);
  EXPECT_EQ(flows[0].service, nullptr);
  EXPECT_EQ(flows[0].translated_source.address, address("203.0.113.10"));
}

TEST(Look, PagesOfAnySizeShowEachFlowOnce) {
  World world(rules_with({{.name = "web"}}));
  std::set<Endpoint> clients;
  for (int i = 0; i < 500; ++i) {
    const std::string client = "198.51.100.7:" + std::to_string(10000 + i);
    ASSERT_EQ(world.send(tcp(client, "203.0.113.10:80").syn()).verdict.action, Action::forward);
    clients.insert(endpoint(client));
  }
  for (const std::size_t budget : std::initializer_list<std::size_t>{1, 2, 7, 64, 100000}) {
    std::set<Endpoint> seen;
    for (const FlowInfo& flow : flows_of(world, budget)) EXPECT_TRUE(seen.insert(flow.source).second);
    EXPECT_EQ(seen, clients) << budget;
  }
}

TEST(Look, AFlowThatAnEarlierRulesetAllowedHasItsNamesStill) {
  World world(rules_with({{.name = "mail", .port = 25}, {.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  world.reload(rules_with({{.name = "web"}}));
  EXPECT_EQ(flows_of(world).at(0).service->name, "web");
}

/// An engine beside the world's, with nothing but what that one lends it.
class Borrower {
 public:
  static constexpr std::size_t kCapacity = std::size_t{kShards} * 8;

  explicit Borrower(const World& world, Rules rules)
      : records_(flow_record_bytes(kCapacity) + 64),
        index_(flow_index_bytes(kCapacity) + 64),
        helpers_(helper_record_bytes(kCapacity) + 64),
        memory_{.records = aligned(records_, flow_record_bytes(kCapacity)),
                .index = aligned(index_, flow_index_bytes(kCapacity)),
                .helpers = aligned(helpers_, helper_record_bytes(kCapacity)),
                .capacity = kCapacity},
        world_(world),
        rules_(std::move(rules)) {}

  Verdict decide(WirePacket wire) {
    world_.engine().lend(wire.packet(), world_.now(), memory_);
    Engine engine({.worker = 0, .workers = 1, .seed = 1, .memory = memory_}, compile(rules_, 1));
    engine.adopt(world_.now(), Found::lent);
    struct Nowhere final : PacketSink {
      void send(const Packet&) override {}
    } nowhere;
    Packet packet = wire.packet();
    return engine.process(packet, world_.now(), nowhere);
  }

 private:
  static std::span<std::byte> aligned(std::vector<std::byte>& memory, std::size_t size) {
    void* at = memory.data();
    std::size_t space = memory.size();
    return {static_cast<std::byte*>(std::align(64, size, at, space)), size};
  }

  std::vector<std::byte> records_;
  std::vector<std::byte> index_;
  std::vector<std::byte> helpers_;
  FlowMemory memory_;
  const World& world_;
  Rules rules_;
};

TEST(Look, WhoBorrowsDecidesAsTheLenderWouldAndTheLenderStaysAsItWas) {
  const Rules rules =
      rules_with({{.name = "web", .backends = {"10.0.0.2:8080", "10.0.0.3:8080"}},
                  {.name = "dns", .protocols = {Protocol::udp}, .port = 53, .backends = {"10.0.0.4:53"}}});
  World world(rules, Borrower::kCapacity);  // small: all of it is compared in each round
  std::vector<Connection> connections;
  for (int i = 0; i < 20; ++i) {
    connections.emplace_back(world, "198.51.100.7:" + std::to_string(40000 + i));
    ASSERT_TRUE(connections.back().open());
    if (i % 3 == 0) {
      ASSERT_TRUE(connections.back().close_by_client());
    }
  }
  std::mt19937 random(7);
  const auto number = [&](std::uint32_t below) { return static_cast<std::uint32_t>(random() % below); };
  std::map<Action, int> seen;
  for (int round = 0; round < 2000; ++round) {
    const Connection& one = connections[number(20)];
    PacketBuilder packet = number(2) == 0 ? one.from_client() : one.from_backend();
    switch (number(6)) {
      case 0:
        packet = packet.syn();
        break;
      case 1:
        packet = packet.rst();
        break;
      case 2:
        packet = packet.ack(number(2) == 0 ? 500001 : 7).payload_of(10);
        break;
      case 3:
        packet = tcp("198.51.100.9:" + std::to_string(1 + number(9000)), "203.0.113.10:80").syn();
        break;
      case 4:
        packet =
            udp("198.51.100.9:" + std::to_string(1 + number(9000)), "203.0.113.10:" + std::to_string(50 + number(6)));
        break;
      default:
        packet = packet.ack(500001);
    }
    const World::Image before = world.image();
    const Counters counters = world.counters();
    Borrower borrower(world, rules);
    const Verdict foretold = borrower.decide(packet.build());
    ASSERT_TRUE(world.is_at(before)) << "looking changes nothing";
    ASSERT_EQ(world.counters(), counters);
    const Verdict verdict = world.send(packet).verdict;
    EXPECT_EQ(foretold.action, verdict.action) << describe(packet.build().bytes());
    EXPECT_EQ(foretold.reason, verdict.reason);
    EXPECT_EQ(foretold.service, verdict.service);
    EXPECT_EQ(foretold.backend, verdict.backend);
    ++seen[verdict.action];
  }
  EXPECT_GT(seen[Action::forward], 100);
  EXPECT_GT(seen[Action::drop], 100);
  EXPECT_GT(seen[Action::reply], 50);
}

TEST(Look, FragmentsAndForeignPacketsBorrowNothing) {
  const Rules rules = rules_with({{.name = "web"}});
  World world(rules);
  const World::Image before = world.image();
  Borrower borrower(world, rules);
  EXPECT_EQ(borrower.decide(tcp(kClient, "203.0.113.10:80").syn().fragment(0, true).build()).action, Action::drop);
  EXPECT_EQ(borrower.decide(tcp(kClient, "203.0.113.10:80").byte(0, 0x65).build()).reason, Reason::not_ipv4);
  EXPECT_TRUE(world.is_at(before));
}

}  // namespace
}  // namespace vipgate::test
