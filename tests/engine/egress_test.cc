#include <gtest/gtest.h>

#include <set>

#include "engine/world.h"

// Private hosts 10.1.0.0/24 leave with the VIP:
//
//     host 10.1.0.5 ── VIP 203.0.113.10:40960… ── remote 198.51.100.7

namespace vipgate::test {
namespace {

using std::chrono::seconds;

constexpr const char* kHost = "10.1.0.5:5000";
constexpr const char* kRemote = "198.51.100.7:53";
constexpr const char* kOther = "198.51.100.8:53";

Rules egress_rules() {
  Rules rules = rules_with({{.name = "web"}, {.name = "api", .port = 81, .source = SourceMode::preserve}});
  rules.egress = {{*Ipv4Prefix::parse("10.1.0.0/24"), address("203.0.113.10"), {*Ipv4Prefix::parse("10.0.0.0/8")}}};
  return rules;
}

/// Where a datagram from the host to the remote comes from, as the remote sees it.
Endpoint outside_of(World& world, const std::string& host, const std::string& remote) {
  const Outcome out = world.send(udp(host, remote).payload("?"));
  EXPECT_EQ(out.verdict.action, Action::forward) << name_of(out.verdict.reason);
  return out.out.empty() ? Endpoint{} : source_of(out.out[0]);
}

TEST(Egress, ThereAndBack) {
  World world(egress_rules());
  const Endpoint outside = outside_of(world, kHost, kRemote);
  EXPECT_EQ(outside.address, address("203.0.113.10"));
  EXPECT_TRUE(kEgressPorts.contains(outside.port));
  const Outcome answer = world.send(udp(kRemote, outside.to_string()).payload("answer"));
  EXPECT_EQ(answer.text(), "udp 198.51.100.7:53 > 10.1.0.5:5000 length 6");
}

TEST(Egress, Rfc4787Req1_AnEndpointHasOnePublicPortTowardEveryDestination) {
  World world(egress_rules());
  const Endpoint outside = outside_of(world, kHost, kRemote);
  for (int i = 0; i < 200; ++i) {
    const std::string remote = "198.51.100." + std::to_string(1 + i % 200) + ":" + std::to_string(1000 + i);
    EXPECT_EQ(outside_of(world, kHost, remote), outside);
  }
}

TEST(Egress, Rfc5382Req1_TcpToo) {
  World world(egress_rules());
  std::set<Endpoint> seen;
  for (const char* remote : {"198.51.100.7:80", "198.51.100.7:443", "192.0.2.1:80"}) {
    const Outcome syn = world.send(tcp(kHost, remote).syn().seq(1));
    ASSERT_EQ(syn.verdict.action, Action::forward);
    seen.insert(source_of(syn.out[0]));
    const Outcome answer = world.send(tcp(remote, source_of(syn.out[0]).to_string()).syn().seq(9).ack(2));
    EXPECT_EQ(destination_of(answer.out.at(0)), endpoint(kHost));
    EXPECT_EQ(world.send(tcp(kHost, remote).seq(2).ack(10).payload("hi")).verdict.action, Action::forward);
  }
  EXPECT_EQ(seen.size(), 1U);
}

TEST(Egress, Rfc4787Req3_TwoEndpointsNeverShareAPort) {
  World world(egress_rules());
  std::set<Endpoint> seen;
  for (std::uint16_t port = 2000; port < 5000; ++port) {
    EXPECT_TRUE(seen.insert(outside_of(world, "10.1.0.5:" + std::to_string(port), kRemote)).second);
  }
}

TEST(Egress, Rfc4787Req4_ParityIsKept) {
  World world(egress_rules());
  for (std::uint16_t port = 2000; port < 3000; ++port) {
    EXPECT_EQ(outside_of(world, "10.1.0.5:" + std::to_string(port), kRemote).port % 2, port % 2);
  }
}

TEST(Egress, Rfc4787Req8_OnlyWhoWasAskedMayAnswer) {
  World world(egress_rules());
  const std::string outside = outside_of(world, kHost, kRemote).to_string();
  for (const char* stranger : {kOther, "198.51.100.7:54"}) {
    const Outcome knock = world.send(udp(stranger, outside).payload("hello?"));
    EXPECT_EQ(knock.verdict.reason, Reason::egress_filtered);
    EXPECT_NE(knock.text().find("icmp 203.0.113.10 > 198.51.100."), std::string::npos) << "it goes no further";
  }
  outside_of(world, kHost, kOther);
  EXPECT_EQ(world.send(udp(kOther, outside).payload("now")).verdict.action, Action::forward);
}

TEST(Egress, Rfc5382Req4_AnUnexpectedSynIsNotAnswered) {
  World world(egress_rules());
  const Outcome syn = world.send(tcp(kHost, "198.51.100.7:80").syn().seq(1));
  const std::string outside = source_of(syn.out.at(0)).to_string();
  const auto knock = tcp("198.51.100.9:6000", outside).syn().seq(70);
  EXPECT_EQ(world.send(knock).verdict.reason, Reason::egress_filtered);
  EXPECT_EQ(world.send(knock).text(), "");
  // The host sends its own SYN: the next of the other side's joins it, a simultaneous open.
  ASSERT_EQ(world.send(tcp(kHost, "198.51.100.9:6000").syn().seq(30)).verdict.action, Action::forward);
  EXPECT_EQ(world.send(knock).verdict.action, Action::forward);
}

TEST(Egress, Rfc4787Req6_Rfc7857Sec7_OnlyThePrivateSideKeepsAMapping) {
  World world(egress_rules());
  const std::string outside = outside_of(world, kHost, kRemote).to_string();
  ASSERT_EQ(world.send(udp(kRemote, outside)).verdict.action, Action::forward);
  for (int i = 0; i < 11; ++i) {
    EXPECT_EQ(world.send(udp(kRemote, outside)).verdict.action, Action::forward) << i;
    world.pass_time(seconds(30));
  }
  EXPECT_EQ(world.flows(), 0U) << "300 s after the host's last word";
}

TEST(Egress, Rfc5508Req1_PingKeepsItsIdentifierTowardEveryDestination) {
  World world(egress_rules());
  const Outcome first = world.send(echo_request("10.1.0.5", "198.51.100.7", 77));
  const Outcome second = world.send(echo_request("10.1.0.5", "198.51.100.8", 77));
  ASSERT_EQ(first.verdict.action, Action::forward);
  const auto id = [](const Outcome& outcome) {
    const auto bytes = outcome.out.at(0).bytes();
    return static_cast<std::uint16_t>(bytes[24] << 8 | bytes[25]);
  };
  EXPECT_EQ(id(first), id(second));
  EXPECT_EQ(world.send(echo_reply("198.51.100.8", "203.0.113.10", id(first))).text(),
            "icmp 198.51.100.8 > 10.1.0.5 echo reply id 77 seq 0 length 0");
  EXPECT_EQ(world.send(echo_reply("198.51.100.9", "203.0.113.10", id(first))).verdict.action, Action::drop);
}

TEST(Egress, Rfc5508Req2_PingsAreKeptForAMinute) {
  World world(egress_rules());
  world.send(echo_request("10.1.0.5", "198.51.100.7", 77));
  world.pass_time(seconds(59));
  EXPECT_EQ(world.flows(), 2U);
  world.pass_time(seconds(3));
  EXPECT_EQ(world.flows(), 0U) << "the mapping goes with its last session (RFC 7857)";
}

TEST(Egress, Rfc7857_AMappingEndsWithItsLastFlow) {
  World world(egress_rules());
  outside_of(world, kHost, kRemote);
  world.pass_time(seconds(60));
  outside_of(world, kHost, kOther);
  EXPECT_EQ(world.flows(), 3U);
  world.pass_time(seconds(62));
  EXPECT_EQ(world.flows(), 2U) << "the first flow has gone";
  world.pass_time(seconds(62));
  EXPECT_EQ(world.flows(), 0U);
}

TEST(Egress, AConnectionOpenedAgainKeepsItsPort) {
  World world(egress_rules());
  const auto host = tcp(kHost, "198.51.100.7:80");
  const Outcome syn = world.send(host.syn().seq(1));
  const std::string outside = source_of(syn.out.at(0)).to_string();
  ASSERT_EQ(world.send(tcp("198.51.100.7:80", outside).rst().ack(2).seq(0)).verdict.action, Action::forward);
  const Outcome again = world.send(host.syn().seq(5000));
  ASSERT_EQ(again.verdict.action, Action::forward) << name_of(again.verdict.reason);
  EXPECT_EQ(source_of(again.out.at(0)).to_string(), outside);
  EXPECT_EQ(world.flows(), 2U);
}

TEST(Egress, ASegmentOfNoFlowIsAnsweredWithRst) {
  World world(egress_rules());
  const Outcome outcome = world.send(tcp(kHost, "198.51.100.7:80").seq(5).ack(9).payload("x"));
  EXPECT_EQ(outcome.text(), "tcp 198.51.100.7:80 > 10.1.0.5:5000 R seq 9 win 0 length 0");
}

TEST(Egress, ExceptionsKeepTheirAddress) {
  World world(egress_rules());
  EXPECT_EQ(world.send(udp(kHost, "10.9.0.1:53")).text(), "udp 10.1.0.5:5000 > 10.9.0.1:53 length 0");
  EXPECT_EQ(world.flows(), 0U);
}

TEST(Egress, WhatEgressWouldHideNeverLeavesAsItIs) {
  World world(egress_rules());
  const WirePacket foreign = tcp(kRemote, kHost).build();
  EXPECT_EQ(world.send(icmp_error("10.1.0.5", "198.51.100.7", 3, 3).quoting(foreign)).verdict.action, Action::drop);
  EXPECT_EQ(world.send(udp(kHost, kRemote).byte(9, 47)).verdict.reason, Reason::unknown_protocol);
}

TEST(Egress, Rfc5508Req4_ErrorsFromTheWayKeepTheirSource) {
  World world(egress_rules());
  const Outcome query = world.send(udp(kHost, kRemote).payload("?"));
  const Outcome error = world.send(icmp_error("192.0.2.99", "203.0.113.10", 11, 0).quoting(query.out.at(0)));
  EXPECT_EQ(error.text(), "icmp 192.0.2.99 > 10.1.0.5 type 11 code 0 about protocol 17 10.1.0.5 > 198.51.100.7")
      << "traceroute from a private host shows the way";
}

TEST(Egress, Rfc5508Req4_AnErrorAboutAPingFindsItsSender) {
  World world(egress_rules());
  const Outcome ping = world.send(echo_request("10.1.0.5", "198.51.100.7", 77).payload("are you there?"));
  for (const std::size_t quoted : {28U, 42U}) {
    const Outcome error = world.send(icmp_error("192.0.2.99", "203.0.113.10", 11, 0).quoting(ping.out.at(0), quoted));
    EXPECT_EQ(error.text(), "icmp 192.0.2.99 > 10.1.0.5 type 11 code 0 about protocol 1 10.1.0.5 > 198.51.100.7");
    EXPECT_EQ(error.out.at(0).bytes()[52] << 8 | error.out[0].bytes()[53], 77) << "its own identifier";
  }
  const WirePacket reply = echo_reply("198.51.100.7", "203.0.113.10", 77).build();
  const WirePacket nested = icmp_error("198.51.100.7", "203.0.113.10", 3, 1).quoting(reply).build();
  EXPECT_EQ(world.send(icmp_error("192.0.2.99", "198.51.100.7", 11, 0).quoting(nested)).verdict.action, Action::drop)
      << "RFC 1122, section 3.2.2: no error about an error";
}

TEST(Egress, Rfc5508Req5_ErrorsFromInsideComeFromTheVip) {
  World world(egress_rules());
  const std::string outside = outside_of(world, kHost, kRemote).to_string();
  const Outcome answer = world.send(udp(kRemote, outside).payload("!"));
  const Outcome error = world.send(icmp_error("10.1.0.1", "198.51.100.7", 3, 3).quoting(answer.out.at(0)));
  EXPECT_EQ(error.text(),
            "icmp 203.0.113.10 > 198.51.100.7 type 3 code 3 about protocol 17 198.51.100.7 > 203.0.113.10");
}

TEST(Egress, Rfc4787Req9_Rfc5382Req8_APrivateHostReachesTheServicesOfItsVip) {
  World world(egress_rules());
  for (const char* vip : {"203.0.113.10:80", "203.0.113.10:81"}) {
    Connection connection(world, kHost, vip);
    EXPECT_TRUE(connection.open() && connection.exchange() && connection.close_by_client()) << vip;
  }
}

TEST(Egress, ThePortsGivenOutHaveNoService) {
  Rules rules = egress_rules();
  rules.vips[0].services[0].wildcard = true;
  rules.vips[0].services[0].ports = {kAllPorts};
  World world(rules);
  EXPECT_EQ(world.send(tcp("198.51.100.7:1000", "203.0.113.10:32767").syn()).verdict.action, Action::forward);
  EXPECT_EQ(world.send(tcp("198.51.100.7:1000", "203.0.113.10:32768").syn()).verdict.reason, Reason::egress_filtered);
}

TEST(Egress, APreserveBackendWithEgressIsBoth) {
  Rules rules = egress_rules();
  rules.vips[0].services[1].backends[0] = {.name = "b", .address = address("10.1.0.5"), .port = 8080};
  World world(rules, 64 * 1024, 4);
  std::set<Endpoint> seen;
  for (int i = 1; i < 100; ++i) seen.insert(outside_of(world, kHost, "198.51.100.7:" + std::to_string(i)));
  EXPECT_EQ(seen.size(), 1U);
  Connection connection(world, "198.51.100.7:40000", "203.0.113.10:81");
  EXPECT_TRUE(connection.open() && connection.exchange());
  EXPECT_EQ(connection.source(), "198.51.100.7:40000");
}

TEST(Egress, AReloadThatEndsItEndsItsFlows) {
  World world(egress_rules());
  const auto host = tcp(kHost, "198.51.100.7:80");
  const Outcome syn = world.send(host.syn().seq(1));
  const std::string outside = source_of(syn.out.at(0)).to_string();
  world.send(tcp("198.51.100.7:80", outside).syn().seq(9).ack(2));
  world.send(host.seq(2).ack(10));
  Rules rules = egress_rules();
  world.reload(rules);
  world.pass_time(seconds(1));
  EXPECT_EQ(world.flows(), 2U);
  rules.egress.clear();
  world.reload(rules);
  world.pass_time(seconds(1));
  EXPECT_EQ(world.flows(), 0U);
  EXPECT_EQ(world.sent_meanwhile().size(), 2U) << "both ends are reset";
}

TEST(Egress, Rfc5508Req8_WithoutAFreePortTheHostIsTold) {
  World world(egress_rules());
  Outcome last;
  for (std::uint32_t n = 0; n < 40000 && last.verdict.reason != Reason::ports_exhausted; ++n) {
    const Endpoint host{Ipv4Address(0x0a010001 + n / 60000), static_cast<std::uint16_t>(1024 + n % 60000)};
    last = world.send(udp(host.to_string(), kRemote));
  }
  ASSERT_EQ(last.verdict.reason, Reason::ports_exhausted);
  EXPECT_NE(last.text().find("type 3 code 13"), std::string::npos) << last.text();
}

}  // namespace
}  // namespace vipgate::test
