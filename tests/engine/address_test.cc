#include <gtest/gtest.h>

#include "engine/world.h"

namespace vipgate::test {
namespace {

constexpr const char* kVip = "203.0.113.10:80";

// Fault 17.
TEST(Address, Fault17_LandAndOurOwnAddressesAsSourceAreDropped) {
  World world(rules_with({{.name = "web"}}));
  EXPECT_EQ(world.send(tcp(kVip, kVip).syn()).verdict.reason, Reason::own_source);
  EXPECT_EQ(world.send(tcp("203.0.113.14:5000", kVip).syn()).verdict.reason, Reason::own_source);
  EXPECT_EQ(world.send(tcp("203.0.113.10:80", "10.0.0.2:8080").syn()).verdict.reason, Reason::own_source);
}

TEST(Address, Rfc1812_MartianSourcesAreDropped) {
  World world(rules_with({{.name = "web"}}));
  for (const char* source :
       {"0.0.0.0:5", "0.1.2.3:5", "127.0.0.1:5", "224.0.0.1:5", "240.0.0.1:5", "255.255.255.255:5"}) {
    EXPECT_EQ(world.send(tcp(source, kVip).syn()).verdict.reason, Reason::martian_source) << source;
  }
}

TEST(Address, AnEmptyAddressOfTheSubnetIsDroppedInSilence) {
  World world(rules_with({{.name = "web"}}));
  EXPECT_EQ(world.send(tcp("198.51.100.7:1", "203.0.113.11:80").syn()).verdict.reason, Reason::no_such_vip);
}

TEST(Address, WhatThePolicyRulesBringAlongOfAPreserveBackendPasses) {
  World world(rules_with({{.name = "web", .source = SourceMode::preserve}}));
  const auto update = tcp("10.0.0.2:50000", "192.0.2.80:443").syn().seq(5);
  const Outcome outcome = world.send(update);
  EXPECT_EQ(outcome.verdict.action, Action::pass);
  EXPECT_TRUE(std::ranges::equal(outcome.out[0].bytes(), update.build().bytes())) << "unchanged";
  EXPECT_EQ(world.flows(), 0U);
}

// Fault 17: written back, it would come again through the route of the subnet.
TEST(Address, Fault17_WhatWouldReturnIsNotPassed) {
  World world(rules_with({{.name = "web", .source = SourceMode::preserve}}));
  EXPECT_EQ(world.send(tcp("10.0.0.2:50000", "203.0.113.11:443").syn()).verdict.action, Action::drop);
}

TEST(Address, WithMasqueradeABackendsOwnTrafficIsNotOurs) {
  World world(rules_with({{.name = "web"}}));
  EXPECT_EQ(world.send(tcp("10.0.0.2:50000", "192.0.2.80:443").syn()).verdict.reason, Reason::no_such_vip);
}

// RFC 4787 REQ-7: the same client address and port on both sides is two flows.
TEST(Address, Rfc4787Req7_OverlappingAddressesDoNotMeet) {
  World world(rules_with({{.name = "a", .port = 80, .source = SourceMode::preserve},
                          {.name = "b", .port = 81, .source = SourceMode::preserve}}));
  const Outcome a = world.send(tcp("198.51.100.7:40000", "203.0.113.10:80").syn().seq(1));
  const Outcome b = world.send(tcp("198.51.100.7:40000", "203.0.113.10:81").syn().seq(2));
  ASSERT_EQ(a.verdict.action, Action::forward);
  ASSERT_EQ(b.verdict.action, Action::forward);
  EXPECT_NE(source_of(a.out[0]), source_of(b.out[0])) << "both go to 10.0.0.2:8080, so one of them needs another port";
  const Outcome back = world.send(tcp("10.0.0.2:8080", source_of(b.out[0]).to_string()).syn().seq(9).ack(3));
  EXPECT_EQ(source_of(back.out[0]), endpoint("203.0.113.10:81"));
}

// CVE-2014-8160: a protocol without a tracker must not slip through.
TEST(Address, Cve2014_8160_UnknownProtocolsAreDropped) {
  World world(rules_with({{.name = "web"}}));
  const auto gre = udp("198.51.100.7:1", kVip).byte(9, 47);
  EXPECT_EQ(world.send(gre).verdict.reason, Reason::unknown_protocol);
}

}  // namespace
}  // namespace vipgate::test
