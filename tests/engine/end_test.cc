#include <gtest/gtest.h>

#include "engine/world.h"
#include "vipgate/flow_info.h"
#include "vipgate/inspect.h"

// How flows end that nobody closes.

namespace vipgate::test {
namespace {

using std::chrono::seconds;

constexpr const char* kClient = "198.51.100.7:40000";

std::vector<std::string> described(const std::vector<WirePacket>& packets) {
  std::vector<std::string> lines;
  for (const WirePacket& packet : packets) lines.push_back(describe(packet.bytes()));
  return lines;
}

TEST(End, BothEndsOfAnEstablishedFlowAreResetWhenItExpires) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open() && connection.exchange());
  world.pass_time(seconds(7439));
  EXPECT_TRUE(world.sent_meanwhile().empty());
  world.pass_time(seconds(3));
  EXPECT_EQ(described(world.sent_meanwhile()),
            (std::vector<std::string>{"tcp 203.0.113.10:80 > 198.51.100.7:40000 R seq 500007 win 0 length 0",
                                      "tcp " + connection.source() + " > 10.0.0.2:8080 R seq 1007 win 0 length 0"}))
      << "each with the number that its receiver expects next";
  EXPECT_EQ(world.flows(), 0U);
}

TEST(End, HandshakesThatWereNotFinishedEndSilently) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  connection.syn();
  world.send(connection.from_backend().syn().ack(1001));
  world.pass_time(seconds(300));
  EXPECT_EQ(world.flows(), 0U);
  EXPECT_TRUE(world.sent_meanwhile().empty()) << "whoever forged the address shall not be helped to a second packet";
}

TEST(End, AServiceThatIsTakenAwayEndsItsFlowsWithinASecond) {
  World world(rules_with({{.name = "web"}, {.name = "mail", .port = 25}}), 64 * 1024, 4);
  std::vector<Connection> connections;
  for (int i = 0; i < 100; ++i) connections.emplace_back(world, "198.51.100.7:" + std::to_string(20000 + i));
  for (Connection& connection : connections) ASSERT_TRUE(connection.open());
  Connection mail(world, kClient, "203.0.113.10:25");
  ASSERT_TRUE(mail.open());
  world.reload(rules_with({{.name = "mail", .port = 25}}));
  world.pass_time(seconds(1));
  EXPECT_EQ(world.sent_meanwhile().size(), 200U);
  EXPECT_EQ(world.counters().flows_revoked, 100U);
  EXPECT_TRUE(mail.exchange());
}

TEST(End, TheNextSegmentOfARevokedFlowIsAnsweredAtOnce) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  world.reload(rules_with({{.name = "mail", .port = 25}}));
  const Outcome outcome = world.send(connection.from_client().ack(500001).payload("GET"));
  EXPECT_EQ(outcome.verdict.action, Action::reply);
  EXPECT_EQ(outcome.verdict.reason, Reason::revoked);
  EXPECT_EQ(outcome.out.size(), 2U);
}

TEST(End, AnInexactResetOfOursIsMendedByTheChallengeAck) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  // The client has sent more than the backend has acknowledged; the RST is behind what the backend expects by now.
  world.send(connection.from_client().psh().ack(500001).payload("GET / "));
  world.reload(rules_with({{.name = "web", .backends = {"10.0.0.9:80"}}}));
  world.pass_time(seconds(1));
  EXPECT_EQ(world.sent_meanwhile().size(), 2U);
  const Outcome challenge = world.send(connection.from_backend().ack(1007));
  EXPECT_EQ(challenge.text(), "tcp " + connection.source() + " > 10.0.0.2:8080 R seq 1007 win 0 length 0")
      << "RFC 5961, section 3.2";
}

TEST(End, UnchangedFlowsGoOnOverManyReloads) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  for (int i = 0; i < 20; ++i) {
    world.reload(rules_with({{.name = "mail", .port = 25}, {.name = "web"}}));
    ASSERT_TRUE(connection.exchange()) << i;
    world.pass_time(seconds(1));
  }
  EXPECT_EQ(world.counters().flows_revoked, 0U);
}

TEST(End, FlowsThatAnOperatorChoosesEndAndBothEndsAreTold) {
  World world(rules_with({{.name = "web"}, {.name = "mail", .port = 25}}), 64 * 1024, 4);
  std::vector<Connection> connections;
  for (int i = 0; i < 100; ++i) connections.emplace_back(world, "198.51.100.7:" + std::to_string(20000 + i));
  for (Connection& connection : connections) ASSERT_TRUE(connection.open());
  Connection mail(world, kClient, "203.0.113.10:25");
  ASSERT_TRUE(mail.open());
  const auto is_web = [](const FlowInfo& flow) { return flow.service->name == "web"; };
  EXPECT_EQ(world.end(is_web), 100U);
  EXPECT_EQ(world.sent_meanwhile().size(), 200U);
  EXPECT_EQ(world.counters().flows_ended, 100U);
  EXPECT_EQ(world.flows(), 1U);
  EXPECT_TRUE(mail.exchange());
  EXPECT_EQ(world.end(is_web), 0U);
  EXPECT_FALSE(connections[0].exchange());
}

TEST(End, AnEndedConnectionsResetsAreWhatItsEndsExpect) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open() && connection.exchange());
  EXPECT_EQ(world.end([](const FlowInfo&) { return true; }), 1U);
  EXPECT_EQ(described(world.sent_meanwhile()),
            (std::vector<std::string>{"tcp 203.0.113.10:80 > 198.51.100.7:40000 R seq 500007 win 0 length 0",
                                      "tcp " + connection.source() + " > 10.0.0.2:8080 R seq 1007 win 0 length 0"}));
}

TEST(End, WhatEndedFlowsHeldIsFreeAgain) {
  Rules rules = rules_with({{.name = "web"}});
  rules.vips[0].services[0].limits.flows = 10;
  rules.egress = {{.from = *Ipv4Prefix::parse("10.0.0.0/24"), .as = address("203.0.113.10"), .except = {}}};
  World world(rules);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 10; ++i) {
      Connection connection(world, "198.51.100.7:" + std::to_string(20000 + 10 * round + i));
      ASSERT_TRUE(connection.open()) << "within the limit again";
    }
    ASSERT_EQ(world.send(tcp("10.0.0.9:5000", "192.0.2.80:443").syn()).verdict.action, Action::forward);
    EXPECT_EQ(world.end([](const FlowInfo&) { return true; }), 11U);
    EXPECT_EQ(world.flows(), 0U) << "the mapping of the egress flow is gone as well";
  }
}

}  // namespace
}  // namespace vipgate::test
