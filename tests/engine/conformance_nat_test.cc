#include <gtest/gtest.h>

#include <map>
#include <set>

#include "engine/world.h"

// Requirements of RFC 5382, RFC 5508 and RFC 7857 that concern more than one way to open a flow.

namespace vipgate::test {
namespace {

using std::chrono::seconds;

constexpr const char* kClient = "198.51.100.7:40000";
constexpr const char* kHost = "10.1.0.5:5000";
constexpr const char* kRemote = "192.0.2.50:443";

/// Services on two backends, two addresses to masquerade with, and egress of 10.1.0.0/24.
Rules rules_with_egress() {
  Rules rules = rules_with({{.name = "web", .backends = {"10.0.0.2:8080", "10.0.0.3:8080"}},
                            {.name = "dns", .protocols = {Protocol::udp}, .port = 53, .backends = {"10.0.0.2:53"}}});
  rules.masquerade.push_back(address("203.0.113.13"));
  rules.egress = {{*Ipv4Prefix::parse("10.1.0.0/24"), address("203.0.113.10"), {}}};
  return rules;
}

Endpoint source_seen(World& world, const PacketBuilder& packet) {
  const Outcome outcome = world.send(packet);
  EXPECT_EQ(outcome.verdict.action, Action::forward) << name_of(outcome.verdict.reason);
  return outcome.out.empty() ? Endpoint{} : source_of(outcome.out[0]);
}

TEST(Conformance, Rfc4787Req2_Rfc7857Sec4_AllFlowsOfAHostHaveOneAddressWhateverTheProtocol) {
  World world(rules_with_egress());
  std::set<Ipv4Address> of_client;
  std::set<Ipv4Address> of_host;
  for (std::uint16_t port = 1024; port < 1224; ++port) {
    const std::string client = "198.51.100.7:" + std::to_string(port);
    const std::string host = "10.1.0.5:" + std::to_string(port);
    of_client.insert(source_seen(world, tcp(client, "203.0.113.10:80").syn()).address);
    of_client.insert(source_seen(world, udp(client, "203.0.113.10:53")).address);
    of_host.insert(source_seen(world, tcp(host, kRemote).syn()).address);
    of_host.insert(source_seen(world, udp(host, kRemote)).address);
    of_host.insert(source_seen(world, echo_request("10.1.0.5", "192.0.2.50", port)).address);
  }
  EXPECT_EQ(of_client.size(), 1U);
  EXPECT_EQ(of_host, std::set{address("203.0.113.10")});
}

TEST(Conformance, Rfc5382Req3_OnlyTheEndpointThatWasAskedMayAnswerOnAConnection) {
  World world(rules_with_egress());
  const std::string outside = source_seen(world, tcp(kHost, kRemote).syn().seq(1)).to_string();
  for (const char* stranger : {"192.0.2.51:443", "192.0.2.50:444"}) {
    for (const PacketBuilder& segment :
         {tcp(stranger, outside).syn().seq(9), tcp(stranger, outside).syn().seq(9).ack(2),
          tcp(stranger, outside).rst().seq(2), tcp(stranger, outside).seq(10).ack(2)}) {
      EXPECT_EQ(world.send(segment).verdict.reason, Reason::egress_filtered);
    }
  }
  EXPECT_EQ(world.send(tcp(kRemote, outside).syn().seq(9).ack(2)).verdict.action, Action::forward);
}

TEST(Conformance, Rfc5382Req7_NoTwoEndpointsShareAPortForConnections) {
  World world(rules_with_egress());
  std::set<Endpoint> seen;
  for (std::uint16_t port = 2000; port < 4000; ++port) {
    EXPECT_TRUE(seen.insert(source_seen(world, tcp("10.1.0.5:" + std::to_string(port), kRemote).syn())).second);
    EXPECT_TRUE(seen.insert(source_seen(world, tcp("10.1.0.6:" + std::to_string(port), kRemote).syn())).second);
  }
}

// Backend 10.0.0.2 asks the VIP, and is sent to 10.0.0.2 or to 10.0.0.3; a router between tells of an error.
TEST(Conformance, Rfc5508Req7_ErrorsBetweenHostsInsideArrive) {
  World world(rules_with_egress());
  const Outcome asked = world.send(udp("10.0.0.2:6000", "203.0.113.10:53").payload("?"));
  const Outcome to_client =
      world.send(icmp_error("10.0.0.254", source_of(asked.out.at(0)).address.to_string(), 3, 1).quoting(asked.out[0]));
  EXPECT_EQ(to_client.text(), "icmp 203.0.113.10 > 10.0.0.2 type 3 code 1 about protocol 17 10.0.0.2 > 203.0.113.10");

  const std::string shown = source_of(asked.out[0]).to_string();
  const Outcome answered = world.send(udp("10.0.0.2:53", shown).payload("!"));
  const Outcome to_backend = world.send(icmp_error("10.0.0.2", "203.0.113.10", 3, 3).quoting(answered.out.at(0)));
  const std::string masquerade = endpoint(shown).address.to_string();
  EXPECT_EQ(to_backend.text(),
            "icmp " + masquerade + " > 10.0.0.2 type 3 code 3 about protocol 17 10.0.0.2 > " + masquerade);
}

TEST(Conformance, Rfc7857Sec2_AfterAResetThatBelongsToItAConnectionRestsForFourMinutes) {
  World world(rules_with_egress());
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  const Outcome forged = world.send(tcp(connection.backend(), connection.source()).rst().seq(1));
  EXPECT_EQ(forged.verdict.action, Action::drop);
  const Outcome reset = world.send(connection.from_backend().rst());
  EXPECT_EQ(reset.text(), "tcp 203.0.113.10:80 > 198.51.100.7:40000 R seq 500001 win 64240 length 0");
  world.pass_time(seconds(238));
  EXPECT_EQ(world.flows(), 1U);
  world.pass_time(seconds(4));
  EXPECT_EQ(world.flows(), 0U);
}

TEST(Conformance, Rfc7857Sec2_EachPartOfAConnectionsLifeHasATimerOfItsOwn) {
  Rules rules = rules_with_egress();
  rules.timeouts.syn_sent = seconds(5);
  rules.timeouts.close = seconds(10);
  World world(rules);
  Connection opening(world, kClient);
  Connection open(world, "198.51.100.7:40001");
  Connection closed(world, "198.51.100.7:40002");
  ASSERT_TRUE(open.open() && closed.open());
  ASSERT_EQ(opening.syn().verdict.action, Action::forward);
  ASSERT_EQ(world.send(closed.from_backend().rst()).verdict.action, Action::forward);
  const std::map<int, std::size_t> flows_after{{4, 3}, {7, 2}, {12, 1}, {7430, 1}, {7445, 0}};
  int now = 0;
  for (const auto& [after, flows] : flows_after) {
    world.pass_time(seconds(after - now));
    now = after;
    EXPECT_EQ(world.flows(), flows) << after << " s";
  }
}

TEST(Conformance, Rfc7857Sec7_ErrorsAndResetsFromOutsideDoNotKeepAMapping) {
  World world(rules_with_egress());
  const Outcome sent = world.send(udp(kHost, kRemote).payload("?"));
  const Outcome connecting = world.send(tcp(kHost, kRemote).syn().seq(1));
  const std::string outside = source_of(connecting.out.at(0)).to_string();
  const WirePacket datagram = sent.out.at(0);
  ASSERT_EQ(world.send(tcp(kRemote, outside).rst().seq(0).ack(2)).verdict.action, Action::forward);
  for (int i = 0; i < 26; ++i) {
    world.send(icmp_error("192.0.2.1", "203.0.113.10", 3, 1).quoting(datagram));
    world.send(tcp(kRemote, outside).rst().seq(0).ack(2));
    world.pass_time(seconds(10));
  }
  EXPECT_EQ(world.flows(), 0U) << "120 s after the datagram, 240 s after the SYN";
}

TEST(Conformance, Rfc7857Sec9_Rfc6056_PortsAreNotToBeGuessed) {
  World world(rules_with_egress());
  World other(rules_with_egress(), 64 * 1024, 1, 2);
  std::map<int, int> steps;
  int same_with_another_key = 0;
  int before = 0;
  for (std::uint16_t n = 0; n < 1000; ++n) {
    const auto packet = udp("10.1.0.5:" + std::to_string(5000 + n), kRemote);
    const int port = source_seen(world, packet).port;
    same_with_another_key += source_seen(other, packet).port == port ? 1 : 0;
    ++steps[port - before];
    before = port;
  }
  for (const auto& [step, times] : steps) EXPECT_LT(times, 8) << "step " << step;
  EXPECT_LT(same_with_another_key, 8);
}

}  // namespace
}  // namespace vipgate::test
