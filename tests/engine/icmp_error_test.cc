#include <gtest/gtest.h>

#include "engine/world.h"

namespace vipgate::test {
namespace {

// The cases, with C client, V VIP, M masquerade address, B backend, R a router anywhere:
//
//     error from the private side   R > M  about M > B   becomes   V > C  about C > V
//     error from outside            R > V  about V > C   becomes   M > B  about B > M
//     the same with preserve        R > V  about V > C   becomes   R > B  about B > C

constexpr const char* kClient = "198.51.100.7:40000";

TEST(IcmpError, Rfc5508Req5_FromThePrivateSideItComesAsTheVips) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  const WirePacket too_big =
      tcp(connection.source(), connection.backend()).seq(1001).ack(500001).payload_of(1400).build();
  const Outcome outcome = world.send(icmp_error("10.0.0.99", "203.0.113.14", 3, 4).mtu(1300).quoting(too_big));
  EXPECT_EQ(outcome.text(),
            "icmp 203.0.113.10 > 198.51.100.7 type 3 code 4 about protocol 6 198.51.100.7 > 203.0.113.10");
  const auto bytes = outcome.out[0].bytes();
  EXPECT_EQ(bytes[26] << 8 | bytes[27], 1300) << "the MTU is kept";
  EXPECT_EQ(bytes[48] << 8 | bytes[49], 40000) << "the quoted ports are the client's own";
  EXPECT_EQ(bytes[50] << 8 | bytes[51], 80);
}

TEST(IcmpError, Rfc5508Req4_Rfc5382Req9_FromOutsideTheQuoteBecomesTheBackends) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  const WirePacket too_big = tcp("203.0.113.10:80", kClient).seq(500001).ack(1001).payload_of(1400).build();
  const Outcome outcome = world.send(icmp_error("192.0.2.99", "203.0.113.10", 3, 4).mtu(1300).quoting(too_big));
  EXPECT_EQ(outcome.text(), "icmp 203.0.113.14 > 10.0.0.2 type 3 code 4 about protocol 6 10.0.0.2 > 203.0.113.14");
}

TEST(IcmpError, WithPreserveTheBackendSeesTheRealSource) {
  World world(rules_with({{.name = "web", .source = SourceMode::preserve}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  const WirePacket too_big = tcp("203.0.113.10:80", kClient).seq(500001).ack(1001).payload_of(1400).build();
  const Outcome outcome = world.send(icmp_error("192.0.2.99", "203.0.113.10", 3, 4).mtu(1300).quoting(too_big));
  EXPECT_EQ(outcome.text(), "icmp 192.0.2.99 > 10.0.0.2 type 3 code 4 about protocol 6 10.0.0.2 > 198.51.100.7");
}

TEST(IcmpError, Rfc792_EightQuotedBytesSuffice) {
  World world(rules_with({{.name = "dns", .protocols = {Protocol::udp}, .port = 53}}));
  const Outcome query = world.send(udp(kClient, "203.0.113.10:53").payload("?"));
  const WirePacket refused = query.out[0];
  const Outcome outcome = world.send(icmp_error("10.0.0.2", "203.0.113.14", 3, 3).quoting(refused, 28));
  EXPECT_EQ(outcome.text(),
            "icmp 203.0.113.10 > 198.51.100.7 type 3 code 3 about protocol 17 198.51.100.7 > 203.0.113.10");
}

TEST(IcmpError, TheQuotedPacketIsTheOneThatTheClientSentToTheByte) {
  World world(rules_with({{.name = "dns", .protocols = {Protocol::udp}, .port = 53}}));
  const WirePacket sent = udp(kClient, "203.0.113.10:53").payload("a question").build();
  const Outcome query = world.send(sent);
  const Outcome outcome = world.send(icmp_error("10.0.0.2", "203.0.113.14", 3, 3).quoting(query.out[0]));
  ASSERT_EQ(outcome.verdict.action, Action::forward);
  EXPECT_TRUE(std::ranges::equal(outcome.out[0].bytes().subspan(28), sent.bytes()))
      << "addresses, ports and both checksums are back to what they were";
}

TEST(IcmpError, Rfc5508Req6_Rfc4787Req12_Rfc5382Req10_ItNeitherRefreshesNorEndsTheFlow) {
  World world(rules_with({{.name = "dns", .protocols = {Protocol::udp}, .port = 53}}));
  const Outcome query = world.send(udp(kClient, "203.0.113.10:53").payload("?"));
  world.pass_time(std::chrono::seconds(100));
  world.send(icmp_error("10.0.0.2", "203.0.113.14", 3, 3).quoting(query.out[0]));
  EXPECT_EQ(world.flows(), 1U);
  world.pass_time(std::chrono::seconds(22));
  EXPECT_EQ(world.flows(), 0U);
}

// CVE-2019-5598, fault 18.
TEST(IcmpError, Cve2019_5598_AQuoteThatIsNotOfItsDestinationIsForged) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  const WirePacket quoted = tcp(connection.source(), connection.backend()).build();
  EXPECT_EQ(world.send(icmp_error("10.0.0.99", "203.0.113.10", 3, 4).quoting(quoted)).verdict.reason,
            Reason::icmp_embedded);
}

TEST(IcmpError, Rfc5508Req3_ABrokenQuoteIsDropped) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  const auto sent = tcp(connection.source(), connection.backend()).seq(1001).ack(500001).payload_of(1400);
  const auto error = icmp_error("10.0.0.99", "203.0.113.14", 3, 4).mtu(1300);
  EXPECT_EQ(world.send(error.quoting(sent.build())).verdict.action, Action::forward);
  EXPECT_EQ(world.send(error.quoting(sent.wrong_ip_checksum().build())).verdict.reason, Reason::icmp_embedded);
  EXPECT_EQ(world.send(error.quoting(sent.build(), 27)).verdict.reason, Reason::icmp_embedded);
  EXPECT_EQ(world.send(error.quoting(sent.build(), 12)).verdict.reason, Reason::icmp_embedded);
  EXPECT_EQ(world.send(error.quoting(sent.build()).wrong_checksum()).verdict.reason, Reason::icmp_checksum);
  EXPECT_EQ(world.send(error.quoting(tcp("203.0.113.14:9", "10.0.0.2:8080").build())).verdict.reason,
            Reason::icmp_embedded);
}

TEST(IcmpError, Rfc5927_WhatIsQuotedMustBeInFlight) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open() && connection.exchange());  // the client has sent 1001 to 1007, all acknowledged
  ASSERT_EQ(world.send(connection.from_client().ack(500007).payload_of(1400)).verdict.action, Action::forward);
  const auto reason = [&](std::uint32_t sequence) {
    const WirePacket quoted =
        tcp(connection.source(), connection.backend()).seq(sequence).ack(500007).payload_of(1400).build();
    return world.send(icmp_error("10.0.0.99", "203.0.113.14", 3, 4).mtu(1300).quoting(quoted)).verdict.reason;
  };
  EXPECT_EQ(reason(1006), Reason::icmp_sequence) << "acknowledged";
  EXPECT_EQ(reason(1007), Reason::none);
  EXPECT_EQ(reason(1007 + 1400), Reason::none);
  EXPECT_EQ(reason(1007 + 1401), Reason::icmp_sequence) << "never sent";
  EXPECT_EQ(reason(0x80000000), Reason::icmp_sequence);
}

TEST(IcmpError, Rfc1191_AnMtuMustBeOneThatTheQuotedPacketExceeds) {
  World world(rules_with({{.name = "dns", .protocols = {Protocol::udp}, .port = 53}}));
  const Outcome query = world.send(udp(kClient, "203.0.113.10:53").payload_of(1372));
  ASSERT_EQ(query.out.at(0).bytes().size(), 1400U);
  const auto reason = [&](std::uint16_t mtu) {
    return world.send(icmp_error("10.0.0.99", "203.0.113.14", 3, 4).mtu(mtu).quoting(query.out[0])).verdict.reason;
  };
  EXPECT_EQ(reason(1399), Reason::none);
  EXPECT_EQ(reason(68), Reason::none);
  EXPECT_EQ(reason(0), Reason::none) << "a router older than RFC 1191 does not say";
  EXPECT_EQ(reason(67), Reason::icmp_mtu);
  EXPECT_EQ(reason(1400), Reason::icmp_mtu);
  EXPECT_EQ(reason(65535), Reason::icmp_mtu);
}

TEST(IcmpError, Fault18_AForgedErrorChangesNothing) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  const WirePacket forged = tcp("203.0.113.10:80", kClient).seq(7).payload_of(1400).build();
  EXPECT_EQ(world.send(icmp_error("192.0.2.66", "203.0.113.10", 3, 4).mtu(68).quoting(forged)).text(), "");
  EXPECT_EQ(world.send(icmp_error("192.0.2.66", "203.0.113.10", 3, 1).quoting(forged)).text(), "");
  EXPECT_TRUE(connection.exchange());
}

TEST(IcmpError, AnErrorOfThisHostAboutAFlowThatIsNotOursPasses) {
  World world(rules_with({{.name = "web", .source = SourceMode::preserve}}));
  const WirePacket foreign = tcp("198.51.100.9:1000", "192.0.2.80:443").build();
  const Outcome outcome = world.send(icmp_error("198.51.100.1", "198.51.100.9", 3, 4).quoting(foreign));
  EXPECT_EQ(outcome.verdict.action, Action::pass);
}

}  // namespace
}  // namespace vipgate::test
