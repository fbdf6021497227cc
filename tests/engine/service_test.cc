#include <gtest/gtest.h>

#include <set>

#include "engine/world.h"

namespace vipgate::test {
namespace {

constexpr const char* kClient = "198.51.100.7:40000";
constexpr const char* kVip = "203.0.113.10:80";

TEST(Service, TheBackendSeesTheMasqueradeAddressAndTheClientTheVip) {
  World world(rules_with({{.name = "web"}}));
  const Outcome there = world.send(tcp(kClient, kVip).syn().seq(7));
  ASSERT_EQ(there.verdict.action, Action::forward) << name_of(there.verdict.reason);
  EXPECT_EQ(source_of(there.out[0]).address, address("203.0.113.14"));
  EXPECT_EQ(destination_of(there.out[0]), endpoint("10.0.0.2:8080"));

  const std::string source = source_of(there.out[0]).to_string();
  const Outcome back = world.send(tcp("10.0.0.2:8080", source).syn().seq(9).ack(8));
  EXPECT_EQ(back.text(), "tcp 203.0.113.10:80 > 198.51.100.7:40000 SA seq 9 ack 8 win 64240 length 0");
}

TEST(Service, WithPreserveTheBackendSeesTheClient) {
  World world(rules_with({{.name = "web", .source = SourceMode::preserve}}));
  const Outcome there = world.send(tcp(kClient, kVip).syn().seq(7));
  EXPECT_EQ(there.text(), "tcp 198.51.100.7:40000 > 10.0.0.2:8080 S seq 7 win 64240 length 0");
  const Outcome back = world.send(tcp("10.0.0.2:8080", kClient).syn().seq(9).ack(8));
  EXPECT_EQ(back.text(), "tcp 203.0.113.10:80 > 198.51.100.7:40000 SA seq 9 ack 8 win 64240 length 0");
}

TEST(Service, PreserveMasqueradesThisHostAndTheBackendsNeighbours) {
  Rules rules = rules_with({{.name = "web", .source = SourceMode::preserve}});
  rules.connected = {*Ipv4Prefix::parse("10.0.0.0/24")};
  rules.host_addresses = {address("192.0.2.1")};
  World world(rules);
  for (const char* client : {"10.0.0.9:40000", "192.0.2.1:40000"}) {
    const Outcome outcome = world.send(tcp(client, kVip).syn());
    ASSERT_EQ(outcome.verdict.action, Action::forward);
    EXPECT_EQ(source_of(outcome.out[0]).address, address("203.0.113.14")) << client;
  }
}

TEST(Service, Rfc4787Req1_UdpRepliesLeaveAsTheSameVipAndPort) {
  World world(rules_with({{.name = "dns", .protocols = {Protocol::udp}, .port = 53, .backends = {"10.0.0.4:5353"}}}));
  const Outcome query = world.send(udp(kClient, "203.0.113.10:53").payload("query"));
  ASSERT_EQ(query.verdict.action, Action::forward);
  const Outcome answer = world.send(udp("10.0.0.4:5353", source_of(query.out[0]).to_string()).payload("answer"));
  EXPECT_EQ(answer.text(), "udp 203.0.113.10:53 > 198.51.100.7:40000 length 6");
}

TEST(Service, TcpAndUdpOfOnePortAreTwoServices) {
  World world(rules_with({{.name = "a", .protocols = {Protocol::tcp}, .port = 53, .backends = {"10.0.0.2:53"}},
                          {.name = "b", .protocols = {Protocol::udp}, .port = 53, .backends = {"10.0.0.3:53"}}}));
  EXPECT_EQ(destination_of(world.send(tcp(kClient, "203.0.113.10:53").syn()).out[0]), endpoint("10.0.0.2:53"));
  EXPECT_EQ(destination_of(world.send(udp(kClient, "203.0.113.10:53")).out[0]), endpoint("10.0.0.3:53"));
}

TEST(Service, BackendsShareClientsByWeightAndAFlowStaysWithItsOwn) {
  Rules rules = rules_with({{.name = "web", .backends = {"10.0.0.2:80", "10.0.0.3:80"}}});
  rules.vips[0].services[0].backends[1].weight = 3;
  World world(rules);
  int second = 0;
  for (std::uint16_t port = 20000; port < 22000; ++port) {
    Connection connection(world, Endpoint{address("198.51.100.7"), port}.to_string());
    ASSERT_TRUE(connection.open() && connection.exchange());
    second += connection.backend() == "10.0.0.3:80" ? 1 : 0;
  }
  EXPECT_NEAR(second, 1500, 100);
}

TEST(Service, ABackendOfWeightZeroGetsNoNewFlow) {
  Rules rules = rules_with({{.name = "web"}});
  rules.vips[0].services[0].backends[0].weight = 0;
  World world(rules);
  const Outcome outcome = world.send(tcp(kClient, kVip).syn().seq(7));
  EXPECT_EQ(outcome.verdict.reason, Reason::no_backend);
  EXPECT_EQ(outcome.text(), "tcp 203.0.113.10:80 > 198.51.100.7:40000 RA seq 0 ack 8 win 0 length 0");
  EXPECT_EQ(world.flows(), 0U);
}

TEST(Service, Rfc4787Req9_Rfc5382Req8_ABackendReachesItsOwnVip) {
  World world(rules_with({{.name = "web"}}));
  Connection hairpin(world, "10.0.0.2:40000");
  EXPECT_TRUE(hairpin.open() && hairpin.exchange());
  EXPECT_EQ(endpoint(hairpin.source()).address, address("203.0.113.14"));
}

TEST(Service, SuperPacketsGoWholeAndKeepTheirSegmentSize) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  const Outcome outcome = world.send(connection.from_client().ack(500001).payload_of(60000).gso(1448));
  ASSERT_EQ(outcome.verdict.action, Action::forward) << name_of(outcome.verdict.reason);
  EXPECT_EQ(outcome.out[0].bytes().size(), 60040U);
  EXPECT_EQ(outcome.out[0].virtio().gso_size, 1448);
  EXPECT_EQ(outcome.out[0].virtio().gso_type, VirtioHeader::kGsoTcpV4);
}

TEST(Service, AVirtioHeaderThatContradictsThePacketIsRefused) {
  World world(rules_with({{.name = "web"}}));
  WirePacket wire = tcp(kClient, kVip).syn().build();
  VirtioHeader virtio;
  virtio.flags = VirtioHeader::kNeedsChecksum;
  virtio.checksum_start = 20;
  virtio.checksum_offset = 6;  // where UDP has it
  const Outcome outcome = world.send(WirePacket(wire.bytes(), virtio));
  EXPECT_EQ(outcome.verdict.reason, Reason::virtio_header);
}

}  // namespace
}  // namespace vipgate::test
