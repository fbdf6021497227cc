#include <gtest/gtest.h>

#include <algorithm>

#include "engine/world.h"
#include "support/fragments.h"

// A shared VIP is an address of the gateway host, too: what is no service's is the host's.
namespace vipgate::test {
namespace {

constexpr const char* kClient = "198.51.100.7:40000";
constexpr const char* kVip = "203.0.113.10:80";
constexpr const char* kVipItself = "203.0.113.10:50000";  // a program of the host that uses the VIP

Rules shared(SourceMode source = SourceMode::masquerade) {
  Rules rules = rules_with({{.name = "web", .source = source}});
  rules.vips[0].shared = true;
  rules.vips[0].ping = Ping::never;  // not looked at
  return rules;
}

/// Passed on, unchanged, with nothing kept.
void expect_passed(World& world, const WirePacket& packet, const char* what) {
  SCOPED_TRACE(what);
  const std::size_t flows = world.flows();
  const Outcome outcome = world.send(packet);
  EXPECT_EQ(outcome.verdict.action, Action::pass) << outcome.text();
  ASSERT_EQ(outcome.out.size(), 1U);
  EXPECT_TRUE(std::ranges::equal(outcome.out[0].bytes(), packet.bytes()));
  EXPECT_EQ(world.flows(), flows);
}

TEST(Shared, WhatIsNoServicesIsTheHosts) {
  World world(shared());
  EXPECT_EQ(world.send(tcp(kClient, kVip).syn()).verdict.action, Action::forward);
  expect_passed(world, tcp(kClient, "203.0.113.10:22").syn().build(), "ssh");
  expect_passed(world, udp(kClient, kVip).payload("?").build(), "the other protocol of a served port");
  expect_passed(world, udp(kClient, "203.0.113.10:1").byte(9, 47).build(), "a tunnel");
}

TEST(Shared, AServedPortIsAnsweredAsThatOfAnyVip) {
  World world(shared());
  EXPECT_EQ(world.send(tcp(kClient, kVip).seq(7).ack(99).payload("x")).text(),
            "tcp 203.0.113.10:80 > 198.51.100.7:40000 R seq 99 win 0 length 0");
}

TEST(Shared, PingsAndTheirRepliesAreTheHosts) {
  World world(shared());
  expect_passed(world, echo_request("198.51.100.7", "203.0.113.10", 77).payload_of(56).build(), "request");
  expect_passed(world, echo_reply("198.51.100.7", "203.0.113.10", 77).payload_of(56).build(), "reply");
  expect_passed(world, echo_request("198.51.100.7", "203.0.113.10", 0).type(13).build(), "timestamp request");
}

TEST(Shared, AFragmentedPingIsPassedWhole) {
  World world(shared());
  const auto ping = echo_request("198.51.100.7", "203.0.113.10", 77).payload_of(4000).fragment(0, false);
  const std::vector<WirePacket> fragments = fragments_of(ping.build(), 1500);
  ASSERT_EQ(fragments.size(), 3U);
  Outcome last;
  for (const WirePacket& fragment : fragments) last = world.send(fragment);
  EXPECT_EQ(last.verdict.action, Action::pass);
  ASSERT_EQ(last.out.size(), fragments.size()) << "as it came";
  for (std::size_t i = 0; i < fragments.size(); ++i) {
    EXPECT_TRUE(std::ranges::equal(last.out[i].bytes(), fragments[i].bytes())) << i;
  }
}

TEST(Shared, Rfc1191_ErrorsAboutServedFlowsAreTranslatedAndOthersAreTheHosts) {
  World world(shared());
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  const auto error = icmp_error("192.0.2.99", "203.0.113.10", 3, 4).mtu(1300);
  const WirePacket ours = tcp(kVip, kClient).seq(500001).ack(1001).payload_of(1400).build();
  EXPECT_EQ(world.send(error.quoting(ours)).text(),
            "icmp 203.0.113.14 > 10.0.0.2 type 3 code 4 about protocol 6 10.0.0.2 > 203.0.113.14");
  const WirePacket ssh = tcp("203.0.113.10:22", kClient).seq(1).ack(1).payload_of(1400).build();
  expect_passed(world, error.quoting(ssh).build(), "about the host's own connection");
  const WirePacket tunnel = udp("203.0.113.10:1", kClient).payload_of(1400).byte(9, 47).build();
  expect_passed(world, error.quoting(tunnel).build(), "about a protocol that is not translated");
}

// The kernel of the host finds that a reply of ours is too large for its own interface: it tells the VIP, as the VIP.
TEST(Shared, Rfc1191_TheHostsOwnErrorsAreTranslated) {
  for (const SourceMode source : {SourceMode::masquerade, SourceMode::preserve}) {
    World world(shared(source));
    Connection connection(world, kClient);
    ASSERT_TRUE(connection.open());
    const WirePacket ours = tcp(kVip, kClient).seq(500001).ack(1001).payload_of(1400).build();
    const Outcome outcome = world.send(icmp_error("203.0.113.10", "203.0.113.10", 3, 4).mtu(1300).quoting(ours));
    EXPECT_EQ(outcome.verdict.action, Action::forward);
    EXPECT_EQ(destination_of(outcome.out.at(0)).address, address("10.0.0.2"));
  }
}

TEST(Shared, TheHostItselfIsAClientAndMasqueraded) {
  for (const SourceMode source : {SourceMode::masquerade, SourceMode::preserve}) {
    World world(shared(source));
    Connection connection(world, kVipItself);
    ASSERT_TRUE(connection.open());
    EXPECT_TRUE(connection.exchange());
    EXPECT_EQ(endpoint(connection.source()).address, address("203.0.113.14"))
        << "the backend's answer to the VIP would reach the host itself";
  }
}

// Fault 17.
TEST(Shared, Fault17_LandIsDropped) {
  World world(shared());
  EXPECT_EQ(world.send(tcp(kVip, kVip).syn()).verdict.reason, Reason::own_source);
  EXPECT_EQ(world.send(udp("203.0.113.10:7", "203.0.113.10:7")).verdict.reason, Reason::own_source);
  EXPECT_EQ(world.send(tcp("203.0.113.14:5000", kVip).syn()).verdict.reason, Reason::own_source)
      << "a masquerade address is nobody's but ours";
  EXPECT_EQ(world.flows(), 0U);
}

TEST(Shared, OtherVipsAreAsBefore) {
  Rules rules = shared();
  rules.vips.push_back(rules_with({{.name = "other"}}).vips[0]);
  rules.vips[1].address = address("203.0.113.11");
  World world(rules);
  EXPECT_EQ(world.send(tcp(kClient, "203.0.113.11:22").syn()).verdict.reason, Reason::no_service);
  EXPECT_EQ(world.send(echo_request("198.51.100.7", "203.0.113.11", 1)).verdict.action, Action::reply);
  EXPECT_EQ(world.send(tcp("203.0.113.11:80", kVip).syn()).verdict.reason, Reason::own_source);
  const WirePacket strange = tcp("203.0.113.11:22", kClient).payload_of(9).build();
  EXPECT_EQ(world.send(icmp_error("192.0.2.99", "203.0.113.11", 3, 4).quoting(strange)).verdict.action, Action::drop);
}

}  // namespace
}  // namespace vipgate::test
