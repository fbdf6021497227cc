#include "wire/ipv4.h"

#include <gtest/gtest.h>

#include <vector>

#include "support/packet_builder.h"

namespace vipgate::test {
namespace {

const auto kDatagram = udp("198.51.100.7:40000", "203.0.113.10:53").payload("question");

TEST(Ipv4, fields_are_where_rfc791_has_them) {
  const WirePacket packet = kDatagram.tos(0xb8).ip_id(0xbeef).ttl(7).build();
  const auto ip = Ipv4View::parse(packet.bytes());
  ASSERT_TRUE(ip);
  EXPECT_EQ(ip->header_length(), 20U);
  EXPECT_EQ(ip->total_length(), 36U);
  EXPECT_EQ(ip->tos(), 0xb8);
  EXPECT_EQ(ip->id(), 0xbeef);
  EXPECT_EQ(ip->ttl(), 7);
  EXPECT_EQ(ip->protocol(), 17);
  EXPECT_EQ(ip->source(), address("198.51.100.7"));
  EXPECT_EQ(ip->destination(), address("203.0.113.10"));
  EXPECT_EQ(ip->payload().size(), 16U);
  EXPECT_EQ(ip->payload().data(), packet.bytes().data() + 20);
  EXPECT_TRUE(ip->dont_fragment());
  EXPECT_FALSE(ip->is_fragment());
  EXPECT_TRUE(ip->checksum_is_right());
}

TEST(Ipv4, options_lengthen_the_header) {
  const WirePacket packet = kDatagram.ip_options({0x94, 4, 0, 0, 1, 1, 1}).build();  // router alert
  const auto ip = Ipv4View::parse(packet.bytes());
  ASSERT_TRUE(ip);
  EXPECT_EQ(ip->header_length(), 28U);
  EXPECT_EQ(ip->header().size(), 28U);
  EXPECT_EQ(ip->payload().size(), 16U);
  EXPECT_TRUE(ip->checksum_is_right());
}

TEST(Ipv4, fragments_are_told_by_offset_or_more_flag) {
  const auto parse = [](const WirePacket& packet) { return *Ipv4View::parse(packet.bytes()); };
  const WirePacket first = kDatagram.fragment(0, true).build();
  const WirePacket middle = kDatagram.fragment(1480, true).build();
  const WirePacket last = kDatagram.fragment(65528, false).build();
  EXPECT_TRUE(parse(first).is_fragment());
  EXPECT_TRUE(parse(first).more_fragments());
  EXPECT_EQ(parse(middle).fragment_offset(), 1480U);
  EXPECT_TRUE(parse(last).is_fragment());
  EXPECT_FALSE(parse(last).more_fragments());
  EXPECT_EQ(parse(last).fragment_offset(), 65528U);
  EXPECT_FALSE(parse(kDatagram.fragment(0, false).build()).is_fragment());
}

TEST(Ipv4, Rfc791_reserved_flag_does_not_make_a_fragment) {
  const WirePacket packet = kDatagram.byte(6, 0x80).build();
  EXPECT_FALSE(Ipv4View::parse(packet.bytes())->is_fragment());
}

TEST(Ipv4, Rfc1812_checks_each_length_with_a_reason_of_its_own) {
  const auto reason_of = [](const PacketBuilder& builder) { return Ipv4View::parse(builder.build().bytes()).reason(); };
  EXPECT_EQ(reason_of(kDatagram), Reason::none);
  EXPECT_EQ(reason_of(kDatagram.byte(0, 0x65)), Reason::not_ipv4);
  EXPECT_EQ(reason_of(kDatagram.byte(0, 0x05)), Reason::not_ipv4);
  EXPECT_EQ(reason_of(kDatagram.byte(0, 0x44)), Reason::ip_header_length);
  EXPECT_EQ(reason_of(kDatagram.byte(0, 0x40)), Reason::ip_header_length);
  EXPECT_EQ(reason_of(kDatagram.byte(0, 0x4f)), Reason::ip_header_length);  // 60 bytes of 36
  EXPECT_EQ(reason_of(kDatagram.byte(3, 19)), Reason::ip_total_length);
  EXPECT_EQ(reason_of(kDatagram.byte(3, 0)), Reason::ip_total_length);
  EXPECT_EQ(reason_of(kDatagram.byte(3, 37)), Reason::ip_total_length);
  EXPECT_EQ(reason_of(kDatagram.byte(2, 0xff)), Reason::ip_total_length);
}

TEST(Ipv4, total_length_of_the_header_alone_is_whole) {
  const WirePacket packet = kDatagram.byte(3, 20).build();
  const auto ip = Ipv4View::parse(packet.bytes());
  ASSERT_TRUE(ip);
  EXPECT_TRUE(ip->payload().empty());
}

TEST(Ipv4, bytes_behind_total_length_are_not_payload) {
  const WirePacket packet = kDatagram.trailing(10).build();
  ASSERT_EQ(packet.bytes().size(), 46U);
  EXPECT_EQ(Ipv4View::parse(packet.bytes())->payload().size(), 16U);
}

TEST(Ipv4, largest_packet_is_read_whole) {
  const WirePacket packet = udp("198.51.100.7:40000", "203.0.113.10:53").payload_of(65535 - 28).build();
  const auto ip = Ipv4View::parse(packet.bytes());
  ASSERT_TRUE(ip);
  EXPECT_EQ(ip->payload().size(), 65515U);
}

TEST(Ipv4, quoted_header_may_promise_more_than_is_there) {
  const WirePacket whole = tcp("10.0.0.2:80", "203.0.113.10:40000").payload_of(1000).build();
  const auto quoted = whole.bytes().first(28);  // RFC 792: Internet Header + 64 bits
  EXPECT_EQ(Ipv4View::parse(quoted).reason(), Reason::ip_total_length);
  const auto ip = Ipv4View::parse_quoted(quoted);
  ASSERT_TRUE(ip);
  EXPECT_EQ(ip->payload().size(), 8U);
  EXPECT_EQ(ip->total_length(), 1040U);
}

TEST(Ipv4, quoted_header_itself_is_checked_as_any) {
  const WirePacket packet = kDatagram.build();
  EXPECT_EQ(Ipv4View::parse_quoted(packet.bytes().first(0)).reason(), Reason::ip_truncated);
  EXPECT_EQ(Ipv4View::parse_quoted(packet.bytes().first(19)).reason(), Reason::ip_truncated);
  EXPECT_EQ(Ipv4View::parse_quoted(kDatagram.byte(0, 0x44).build().bytes()).reason(), Reason::ip_header_length);
  EXPECT_EQ(Ipv4View::parse_quoted(kDatagram.byte(3, 19).build().bytes()).reason(), Reason::ip_total_length);
}

TEST(Ipv4, every_wrong_header_bit_spoils_the_checksum) {
  const WirePacket right = kDatagram.ip_options({1, 1, 1, 0}).build();
  for (std::size_t bit = 0; bit < 24 * 8; ++bit) {
    WirePacket packet = right;
    packet.bytes()[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    const auto ip = Ipv4View::parse(packet.bytes());
    EXPECT_TRUE(!ip || !ip->checksum_is_right()) << "bit " << bit;
  }
}

TEST(Ipv4, written_header_is_right_and_atomic) {
  std::vector<std::uint8_t> header(ipv4::kMinHeader, 0xff);
  ipv4::write_header(header.data(), {.tos = 0xc0,
                                     .total_length = 20,
                                     .ttl = 64,
                                     .protocol = 6,
                                     .source = address("203.0.113.10"),
                                     .destination = address("198.51.100.7")});
  const auto ip = Ipv4View::parse(header);
  ASSERT_TRUE(ip);
  EXPECT_EQ(naive_sum(header), 0xffff);
  EXPECT_EQ(ip->tos(), 0xc0);
  EXPECT_EQ(ip->ttl(), 64);
  EXPECT_EQ(ip->protocol(), 6);
  EXPECT_EQ(ip->source(), address("203.0.113.10"));
  EXPECT_EQ(ip->destination(), address("198.51.100.7"));
  EXPECT_TRUE(ip->dont_fragment()) << "RFC 6864 §4.1: an ID of 0 is for packets that are never fragmented";
  EXPECT_EQ(ip->id(), 0);
}

}  // namespace
}  // namespace vipgate::test
