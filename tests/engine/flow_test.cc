#include <gtest/gtest.h>

#include <set>

#include "engine/world.h"

namespace vipgate::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kClient = "198.51.100.7:40000";
constexpr const char* kVip = "203.0.113.10:80";

std::string client(std::uint32_t n) {
  return Endpoint{Ipv4Address(address("198.51.100.0").value() + n / 60000),
                  static_cast<std::uint16_t>(1024 + n % 60000)}
      .to_string();
}

TEST(Flow, ADroppedPacketLeavesNoneBehind) {
  World world(rules_with({{.name = "web"}}));
  world.send(tcp(kClient, kVip).syn().wrong_checksum());
  world.send(tcp(kClient, kVip).syn().fin());
  world.send(tcp(kClient, kVip).ack(5).payload("mid-stream"));
  world.send(tcp(kClient, kVip).rst());
  EXPECT_EQ(world.flows(), 0U);
  EXPECT_EQ(world.counters().flows_opened, 0U);
}

// Fault 15: an incremental update must not make a wrong checksum look right, nor may its packet change the state.
TEST(Flow, Fault15_AWrongChecksumNeverChangesState) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  const Outcome forged = world.send(connection.from_client().rst().wrong_checksum());
  EXPECT_EQ(forged.verdict.reason, Reason::tcp_checksum);
  EXPECT_TRUE(connection.exchange());
}

TEST(Flow, Rfc5382Req5_EstablishedFlowsLiveTwoHoursAndFourMinutesInSilence) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  world.pass_time(seconds(7439));
  EXPECT_TRUE(connection.exchange());
  world.pass_time(seconds(7442));
  EXPECT_EQ(world.flows(), 0U);
  EXPECT_FALSE(connection.exchange());
}

TEST(Flow, Rfc4787Req5_UdpFlowsLiveFiveMinutesOnceAnswered) {
  World world(rules_with({{.name = "dns", .protocols = {Protocol::udp}}}));
  const Outcome first = world.send(udp(kClient, kVip).payload("?"));
  const std::string source = source_of(first.out[0]).to_string();
  world.pass_time(seconds(122));
  EXPECT_EQ(world.flows(), 0U) << "never answered: two minutes";

  const Outcome again = world.send(udp(kClient, kVip).payload("?"));
  EXPECT_EQ(source_of(again.out[0]).to_string(), source) << "the port is a keyed hash of the endpoints";
  world.send(udp("10.0.0.2:8080", source).payload("!"));
  world.pass_time(seconds(299));
  EXPECT_EQ(world.flows(), 1U);
  world.pass_time(seconds(3));
  EXPECT_EQ(world.flows(), 0U);
}

TEST(Flow, Rfc4787Req6_TrafficInEitherDirectionKeepsAFlow) {
  World world(rules_with({{.name = "web"}, {.name = "dns", .protocols = {Protocol::udp}, .port = 53}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  const Outcome query = world.send(udp(kClient, "203.0.113.10:53"));
  const std::string source = source_of(query.out[0]).to_string();
  ASSERT_EQ(world.send(udp("10.0.0.2:8080", source)).verdict.action, Action::forward);
  for (int hour = 0; hour < 5; ++hour) {
    for (int n = 0; n < 15; ++n) {
      world.pass_time(seconds(240));
      const auto packet = n % 2 == 0 ? udp(kClient, "203.0.113.10:53") : udp("10.0.0.2:8080", source);
      ASSERT_EQ(world.send(packet).verdict.action, Action::forward);
    }
    ASSERT_TRUE(connection.exchange());
  }
  EXPECT_EQ(world.counters().flows_opened, 2U) << "no packet had to open its flow again";
  EXPECT_EQ(world.counters().flows_expired, 0U);
}

TEST(Flow, AServicesIdleTimeoutReplacesTheDefault) {
  Rules rules = rules_with({{.name = "web"}});
  rules.vips[0].services[0].idle_timeout = seconds(30);
  World world(rules);
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  world.pass_time(seconds(29));
  ASSERT_TRUE(connection.exchange());
  world.pass_time(seconds(32));
  EXPECT_EQ(world.flows(), 0U);
}

TEST(Flow, Rfc1122_TimeWaitIsReopenedByANewSyn) {
  World world(rules_with({{.name = "web"}}));
  Connection first(world, kClient);
  ASSERT_TRUE(first.open() && first.exchange() && first.close_by_client());
  Connection second(world, kClient);
  EXPECT_TRUE(second.open() && second.exchange());
  EXPECT_EQ(world.flows(), 1U);
}

// A backend that closed first holds TIME-WAIT for the port it knows; while there are others, a new connection gets one
// of those.
TEST(Flow, Rfc6191_APortInTheBackendsTimeWaitRestsWhenItsClientComesAgain) {
  World world(rules_with({{.name = "web"}}));
  Connection first(world, kClient);
  ASSERT_TRUE(first.open() && first.exchange() && first.close_by_backend());
  const Outcome again = world.send(tcp(kClient, kVip).syn().seq(5));
  ASSERT_EQ(again.verdict.action, Action::forward);
  EXPECT_NE(source_of(again.out[0]).to_string(), first.source());
  EXPECT_EQ(world.flows(), 1U) << "the old flow made room";
}

// 2,000 connections a second for a minute to one backend from one client: more than there are ports, all within
// TIME_WAIT's 240 s. Either end may be the one that closes.
class ConnectionRate : public testing::TestWithParam<bool> {};

TEST_P(ConnectionRate, ClosedFlowsGiveTheirPortsBack) {
  const bool client_closes = GetParam();
  World world(rules_with({{.name = "web"}}), 256 * 1024);
  for (std::uint32_t n = 0; n < 120000; ++n) {
    Connection connection(world, client(n % 60000));
    connection.begin_at(n * 2654435761U, n / 2);  // a millisecond clock
    ASSERT_TRUE(connection.open() && connection.exchange()) << n;
    ASSERT_TRUE(client_closes ? connection.close_by_client() : connection.close_by_backend()) << n;
    world.pass_time(Duration(seconds(1)) / 2000);
  }
  EXPECT_GT(world.counters().flows_evicted, 0U) << "for their ports";
}

INSTANTIATE_TEST_SUITE_P(Ends, ConnectionRate, testing::Values(true, false),
                         [](const auto& which) { return which.param ? "ClientCloses" : "BackendCloses"; });

// Fault 11. RFC 4787 REQ-3, RFC 5382 REQ-7: no overloading.
TEST(Flow, Fault11_WhenSourcePortsRunOutTheNewFlowIsRefusedAndNoOtherHarmed) {
  World world(rules_with({{.name = "web"}}), 256 * 1024);
  std::set<std::string> sources;
  std::uint32_t n = 0;
  Outcome refused;
  std::vector<Connection> connections;
  for (; n < 80000; ++n) {
    Connection connection(world, client(n));
    const Outcome outcome = connection.syn();
    if (outcome.verdict.action != Action::forward) {
      if (outcome.verdict.reason != Reason::ports_exhausted) FAIL() << name_of(outcome.verdict.reason);
      refused = outcome;
      break;
    }
    ASSERT_TRUE(sources.insert(connection.source()).second) << "port overloaded: " << connection.source();
    ASSERT_EQ(world.send(connection.from_backend().syn().ack(1001)).verdict.action, Action::forward);
    ASSERT_EQ(world.send(connection.from_client().ack(500001)).verdict.action, Action::forward);
    connections.push_back(connection);
  }
  // Shards fill unevenly; the first one is full a little before all are.
  EXPECT_GT(n, 55000U);
  ASSERT_EQ(refused.out.size(), 1U);
  EXPECT_EQ(refused.out[0].bytes()[20], 3);   // Destination Unreachable
  EXPECT_EQ(refused.out[0].bytes()[21], 13);  // administratively prohibited, RFC 5508 REQ-8
  EXPECT_EQ(world.flows(), sources.size());
}

TEST(Flow, Rfc7857Sec3_TheSamePortsServeAnotherBackend) {
  World world(rules_with({{.name = "a", .port = 80}, {.name = "b", .port = 81, .backends = {"10.0.0.3:80"}}}),
              256 * 1024);
  for (std::uint32_t n = 0; n < 50000; ++n) {
    ASSERT_EQ(Connection(world, client(n), "203.0.113.10:80").syn().verdict.action, Action::forward);
    ASSERT_EQ(Connection(world, client(n), "203.0.113.10:81").syn().verdict.action, Action::forward);
  }
  EXPECT_EQ(world.flows(), 100000U);
}

// Fault 10.
TEST(Flow, Fault10_ASynFloodDoesNotTouchEstablishedFlows) {
  World world(rules_with({{.name = "web", .backends = {"10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80", "10.0.0.5:80"}}}),
              64 * 64);
  std::vector<Connection> good;
  for (std::uint32_t n = 0; n < 1000; ++n) {
    good.emplace_back(world, Endpoint{address("192.0.2.1"), static_cast<std::uint16_t>(2000 + n)}.to_string());
    ASSERT_TRUE(good.back().open());
  }
  for (std::uint32_t n = 0; n < 200000; ++n) {
    const Endpoint attacker{Ipv4Address(0x0b000000 + n * 7919), static_cast<std::uint16_t>(1024 + n % 60000)};
    ASSERT_EQ(world.send(tcp(attacker.to_string(), kVip).syn().seq(n)).verdict.action, Action::forward);
    if (n % 1000 == 0) world.pass_time(milliseconds(5));
  }
  EXPECT_LE(world.flows(), 64U * 64U);
  EXPECT_GT(world.counters().flows_evicted, 190000U);
  for (Connection& connection : good) ASSERT_TRUE(connection.exchange());
  EXPECT_TRUE(Connection(world, "192.0.2.9:5000").open()) << "a new client gets in";
}

TEST(Flow, Fault10_GoodClientsFinishTheirHandshakesInTheMiddleOfAFlood) {
  World world(rules_with({{.name = "web"}}), 64 * 1024);  // one backend: its source ports run out before the table
  std::uint32_t sent = 0;
  const auto flood = [&](milliseconds duration) {  // 200,000 a second
    for (auto ms = 0; ms < duration.count(); ++ms) {
      for (int i = 0; i < 200; ++i, ++sent) {
        const Endpoint attacker{Ipv4Address(0x0b000000 + sent * 7919), static_cast<std::uint16_t>(1024 + sent % 60000)};
        world.send(tcp(attacker.to_string(), kVip).syn().seq(sent));
      }
      world.pass_time(milliseconds(1));
    }
  };
  flood(milliseconds(400));
  ASSERT_GT(world.flows(), 60000U);
  for (int n = 0; n < 10; ++n) {
    Connection good(world, "192.0.2.9:" + std::to_string(5000 + n));
    ASSERT_EQ(good.syn().verdict.action, Action::forward);
    flood(milliseconds(50));
    ASSERT_EQ(world.send(good.from_backend().syn().ack(1001)).verdict.action, Action::forward) << n;
    flood(milliseconds(50));
    ASSERT_EQ(world.send(good.from_client().ack(500001)).verdict.action, Action::forward) << n;
  }
}

TEST(Flow, Rfc6888_AFullTableOfLiveFlowsRefusesTheNewOne) {
  World world(rules_with({{.name = "web"}}), 64 * 8);
  std::uint32_t open = 0;
  std::uint32_t refused = 0;
  for (std::uint32_t n = 0; n < 5000; ++n) {
    Connection connection(world, client(n));
    const Outcome outcome = connection.syn();
    if (outcome.verdict.action == Action::forward) {
      ASSERT_EQ(world.send(connection.from_backend().syn().ack(1001)).verdict.action, Action::forward);
      ASSERT_EQ(world.send(connection.from_client().ack(500001)).verdict.action, Action::forward);
      ++open;
    } else {
      ASSERT_TRUE(outcome.verdict.reason == Reason::table_full || outcome.verdict.reason == Reason::rate_limited);
      ++refused;
    }
  }
  EXPECT_EQ(open, 64U * 8U);
  EXPECT_EQ(world.flows(), 64U * 8U);
  EXPECT_GT(refused, 0U);
}

// Fault 21: the engine's time is monotonic, but replay's need not be.
TEST(Flow, Fault21_AJumpOfTheClockEndsNothingEarly) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  world.pass_time(-std::chrono::hours(24));
  EXPECT_TRUE(connection.exchange());
}

}  // namespace
}  // namespace vipgate::test
