#include "runtime/replay.h"

#include <gtest/gtest.h>

#include "support/packet_builder.h"

namespace vipgate {
namespace {

using test::address;
using test::tcp;
using test::WirePacket;

Rules rules() {
  Backend backend;
  backend.name = "a";
  backend.address = address("10.0.0.2");
  Service service;
  service.name = "web";
  service.protocols = {Protocol::tcp};
  service.ports = {{80, 80}};
  service.backends = {backend};
  Vip vip;
  vip.address = address("203.0.113.10");
  vip.services = {service};
  Rules rules;
  rules.vips = {vip};
  rules.masquerade = {address("203.0.113.14")};
  rules.subnets = {*Ipv4Prefix::parse("203.0.113.8/29")};
  return rules;
}

class ReplayTest : public testing::Test {
 protected:
  ReplayedPacket play(const test::PacketBuilder& builder) {
    const WirePacket wire = builder.build();
    return replay_.process({.time = Time(std::chrono::seconds(1700000000)), .ip = wire.bytes(), .original_size = 0});
  }

  Replay replay_{*FlowStorage::allocate(1024), rules(), 1500, 1};
};

TEST_F(ReplayTest, APacketBecomesWhatTheGatewayWouldSend) {
  const ReplayedPacket packet = play(tcp("198.51.100.7:40000", "203.0.113.10:80").syn().seq(1));
  EXPECT_EQ(packet.verdict.action, Action::forward);
  EXPECT_EQ(packet.in, "tcp 198.51.100.7:40000 > 203.0.113.10:80 S seq 1 win 64240 length 0");
  ASSERT_EQ(packet.out.size(), 1U);
  EXPECT_EQ(packet.service, "web");
  EXPECT_EQ(packet.backend, "10.0.0.2:80");
}

TEST_F(ReplayTest, ACaptureFromTheSendingHostHasPartialChecksums) {
  const ReplayedPacket packet = play(tcp("198.51.100.7:40000", "203.0.113.10:80").syn().seq(1).partial_checksum());
  EXPECT_EQ(packet.verdict.action, Action::forward) << name_of(packet.verdict.reason);
}

TEST_F(ReplayTest, APacketThatTheCaptureCutOffSaysSo) {
  const WirePacket wire = tcp("198.51.100.7:40000", "203.0.113.10:80").syn().payload_of(100).build();
  const ReplayedPacket packet =
      replay_.process({.time = {}, .ip = wire.bytes().first(60), .original_size = wire.bytes().size()});
  EXPECT_EQ(packet.verdict.reason, Reason::ip_total_length);
  EXPECT_TRUE(packet.in.ends_with("(cut off by the capture)")) << packet.in;
}

TEST_F(ReplayTest, WhatTheGatewayItselfHadSentIsRecognised) {
  EXPECT_TRUE(play(tcp("203.0.113.14:5000", "10.0.0.2:80").syn()).own_output);
  EXPECT_TRUE(play(tcp("203.0.113.10:80", "198.51.100.7:40000").syn().ack(2)).own_output);
  EXPECT_TRUE(play(tcp("198.51.100.7:40000", "10.0.0.2:80").syn()).own_output) << "with the client's address preserved";
  EXPECT_FALSE(play(tcp("203.0.113.10:80", "203.0.113.10:80").syn()).own_output) << "LAND is not";
}

TEST_F(ReplayTest, WhatEgressHadSentIsRecognised) {
  const auto own_output = [](const char* from, const char* to) {
    Rules with_egress = rules();
    with_egress.egress = {{.from = *Ipv4Prefix::parse("10.0.1.0/24"),
                           .as = address("203.0.113.10"),
                           .except = {*Ipv4Prefix::parse("192.168.0.0/16")}},
                          {.from = *Ipv4Prefix::parse("10.0.2.0/24"), .as = address("203.0.113.10"), .except = {}}};
    Replay replay(*FlowStorage::allocate(1024), with_egress, 1500, 1);
    const WirePacket wire = tcp(from, to).ack(2).build();
    return replay.process({.time = {}, .ip = wire.bytes(), .original_size = 0}).own_output;
  };
  EXPECT_TRUE(own_output("203.0.113.10:40960", "198.51.100.7:80")) << "a host's packet, on its way out";
  EXPECT_TRUE(own_output("198.51.100.7:80", "10.0.1.5:5000")) << "the answer, on its way in";
  EXPECT_TRUE(own_output("192.168.0.1:80", "10.0.2.5:5000"));
  EXPECT_FALSE(own_output("10.0.1.5:5000", "198.51.100.7:80")) << "before it was translated";
  EXPECT_FALSE(own_output("198.51.100.7:80", "203.0.113.10:40960"));
  EXPECT_FALSE(own_output("192.168.0.1:80", "10.0.1.5:5000")) << "an exception";
  EXPECT_FALSE(own_output("10.0.1.5:5000", "10.0.1.6:80")) << "two hosts of one network";
  EXPECT_FALSE(own_output("10.0.2.5:5000", "10.0.1.6:80")) << "of two networks";
  EXPECT_FALSE(own_output("198.51.100.7:80", "10.0.3.5:5000")) << "no host of egress";
}

TEST_F(ReplayTest, TheCountsAddUpToThePacketsRead) {
  play(tcp("198.51.100.7:40000", "203.0.113.10:80").syn());
  play(tcp("198.51.100.7:40000", "203.0.113.10:81").syn());
  play(tcp("203.0.113.10:80", "198.51.100.7:40000").syn().ack(2));
  play(tcp("198.51.100.7:40000", "203.0.113.10:80").syn().wrong_checksum());
  replay_.process({});
  const ReplaySummary summary = replay_.summary();
  std::uint64_t sum = summary.own_output + summary.not_ipv4;
  for (const std::uint64_t count : summary.engine.actions) sum += count;
  EXPECT_EQ(summary.packets, 5U);
  EXPECT_EQ(sum, 5U);
}

}  // namespace
}  // namespace vipgate
