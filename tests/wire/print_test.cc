#include <gtest/gtest.h>

#include "support/packet_builder.h"
#include "vipgate/inspect.h"

namespace vipgate::test {
namespace {

std::string line_of(const PacketBuilder& builder) {
  return describe(builder.build().bytes());
}

const auto kSegment = tcp("198.51.100.7:40000", "203.0.113.10:80");

TEST(Print, tcp_shows_flags_numbers_window_and_length) {
  EXPECT_EQ(line_of(kSegment.syn().seq(1)), "tcp 198.51.100.7:40000 > 203.0.113.10:80 S seq 1 win 64240 length 0");
  EXPECT_EQ(line_of(kSegment.psh().seq(2).ack(7).win(5).payload("abc")),
            "tcp 198.51.100.7:40000 > 203.0.113.10:80 PA seq 2 ack 7 win 5 length 3");
}

TEST(Print, udp_shows_length_of_its_data) {
  EXPECT_EQ(line_of(udp("10.0.0.1:5353", "10.0.0.2:53").payload("abcd")), "udp 10.0.0.1:5353 > 10.0.0.2:53 length 4");
}

TEST(Print, icmp_shows_echo_and_what_an_error_is_about) {
  EXPECT_EQ(line_of(echo_request("10.0.0.1", "10.0.0.2", 7).seq(3).payload("abcd")),
            "icmp 10.0.0.1 > 10.0.0.2 echo request id 7 seq 3 length 4");
  EXPECT_EQ(line_of(echo_reply("10.0.0.1", "10.0.0.2", 7).seq(3)),
            "icmp 10.0.0.1 > 10.0.0.2 echo reply id 7 seq 3 length 0");
  EXPECT_EQ(line_of(icmp_error("192.0.2.1", "198.51.100.7", 3, 4).mtu(1400).quoting(kSegment.build(), 28)),
            "icmp 192.0.2.1 > 198.51.100.7 type 3 code 4 about protocol 6 198.51.100.7 > 203.0.113.10");
  EXPECT_EQ(line_of(icmp_error("192.0.2.1", "198.51.100.7", 11, 0)), "icmp 192.0.2.1 > 198.51.100.7 type 11 code 0");
}

TEST(Print, fragments_and_unknown_protocols_are_named) {
  EXPECT_EQ(line_of(kSegment.ip_id(9).fragment(0, true)),
            "fragment 198.51.100.7 > 203.0.113.10 protocol 6 id 9 offset 0 length 20 more");
  EXPECT_EQ(line_of(kSegment.ip_id(9).fragment(1480, false)),
            "fragment 198.51.100.7 > 203.0.113.10 protocol 6 id 9 offset 1480 length 20 last");
  EXPECT_EQ(line_of(kSegment.byte(9, 47)), "protocol 47 198.51.100.7 > 203.0.113.10 length 20");
}

TEST(Print, broken_packets_are_described_as_far_as_they_go) {
  const WirePacket whole = kSegment.syn().build();
  EXPECT_EQ(describe(whole.bytes().first(0)), "broken: fewer bytes than an IPv4 header, 0 bytes");
  EXPECT_EQ(describe(whole.bytes().first(30)),
            "broken: total length below the header or beyond the bytes read, 30 bytes");
  EXPECT_EQ(line_of(kSegment.byte(32, 0x40)),
            "tcp 198.51.100.7 > 203.0.113.10 broken: TCP data offset below 5 or beyond the segment");
  EXPECT_EQ(line_of(udp("10.0.0.1:1", "10.0.0.2:2").byte(25, 9)),
            "udp 10.0.0.1 > 10.0.0.2 broken: UDP length below the header or beyond the packet");
  EXPECT_EQ(line_of(echo_request("10.0.0.1", "10.0.0.2", 1).byte(3, 24)),
            "icmp 10.0.0.1 > 10.0.0.2 broken: fewer bytes than an ICMP header");
}

TEST(Print, endpoints_of_whole_packets_alone) {
  const WirePacket whole = kSegment.syn().build();
  const auto endpoints = endpoints_of(whole.bytes());
  ASSERT_TRUE(endpoints);
  EXPECT_EQ(endpoints->source, endpoint("198.51.100.7:40000"));
  EXPECT_EQ(endpoints->destination, endpoint("203.0.113.10:80"));
  EXPECT_FALSE(endpoints_of(whole.bytes().first(39)));
  EXPECT_FALSE(endpoints_of({}));
}

TEST(Print, endpoints_have_port_0_where_there_is_none) {
  const WirePacket echo = echo_request("198.51.100.7", "203.0.113.10", 7).build();
  const auto endpoints = endpoints_of(echo.bytes());
  ASSERT_TRUE(endpoints);
  EXPECT_EQ(endpoints->source, endpoint("198.51.100.7:0"));
  EXPECT_EQ(endpoints->destination, endpoint("203.0.113.10:0"));
}

}  // namespace
}  // namespace vipgate::test
