#include "wire/packet_view.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

#include "support/exact_copy.h"
#include "support/packet_builder.h"
#include "support/parse_packet.h"
#include "vipgate/inspect.h"
#include "wire/bytes.h"

namespace vipgate::test {
namespace {

constexpr auto kClient = "198.51.100.7:40000";
constexpr auto kWeb = "203.0.113.10:80";

Reason reason_of(const WirePacket& built) {
  const ExactCopy copy(built.bytes());
  Packet packet = copy.packet(built.virtio());
  return parse_packet(packet).reason();
}

PacketBuilder ping() {
  return echo_request("198.51.100.7", "203.0.113.10", 7).seq(1).payload("0123456789abcdef");
}

PacketBuilder port_unreachable() {
  const WirePacket about = udp(kWeb, kClient).payload_of(64).build();
  return icmp_error("198.51.100.7", "203.0.113.10", 3, 3).quoting(about);
}

/// Sound packets of every kind, their checksums complete.
std::vector<PacketBuilder> sound_packets() {
  return {
      tcp(kClient, kWeb).syn().seq(1).mss(1460).sack_permitted().timestamp(1, 2).window_scale(7),
      tcp(kClient, kWeb).seq(1).ack(2).payload("GET / HTTP/1.0\r\n"),
      tcp(kClient, kWeb).seq(1).ack(2).ip_options({0x94, 4, 0, 0}).payload_of(33),
      udp(kClient, kWeb).payload("question"),
      udp(kClient, kWeb),
      ping(),
      port_unreachable(),
  };
}

TEST(PacketView, reads_sound_packets_of_every_kind) {
  for (const PacketBuilder& builder : sound_packets()) {
    EXPECT_EQ(reason_of(builder.build()), Reason::none) << describe(builder.build().bytes());
    EXPECT_EQ(reason_of(builder.verified().build()), Reason::none);
  }
  EXPECT_EQ(reason_of(tcp(kClient, kWeb).ack(1).payload_of(3000).gso(1448).build()), Reason::none);
  EXPECT_EQ(reason_of(udp(kClient, kWeb).payload_of(3000).gso(1448).build()), Reason::none);
  EXPECT_EQ(reason_of(udp(kClient, kWeb).no_checksum().build()), Reason::none);
}

TEST(PacketView, shows_the_transport_that_is_there) {
  WirePacket segment = tcp(kClient, kWeb).syn().seq(5).build();
  Packet packet = segment.packet();
  const auto view = parse_packet(packet);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->protocol, Protocol::tcp);
  EXPECT_EQ(view->checksum, ChecksumKind::complete);
  EXPECT_EQ(view->tcp.sequence(), 5U);
  EXPECT_EQ(view->ip.source(), address("198.51.100.7"));

  WirePacket datagram = udp(kClient, kWeb).partial_checksum().build();
  packet = datagram.packet();
  EXPECT_EQ(parse_packet(packet)->udp.source_port(), 40000);
  EXPECT_EQ(parse_packet(packet)->checksum, ChecksumKind::partial);

  WirePacket echo = ping().build();
  packet = echo.packet();
  EXPECT_EQ(parse_packet(packet)->icmp.id(), 7);
}

// Each way a packet can be malformed, one a Reason.
struct Malformed {
  Reason reason;
  WirePacket packet;
};

std::vector<Malformed> malformed_packets() {
  const auto segment = tcp(kClient, kWeb).ack(1).payload("data");
  const auto datagram = udp(kClient, kWeb).payload("data");
  const WirePacket header_only(segment.build().bytes().first(19), {});
  return {
      {Reason::not_ipv4, segment.byte(0, 0x65).build()},
      {Reason::ip_truncated, header_only},
      {Reason::ip_header_length, segment.byte(0, 0x44).build()},
      {Reason::ip_total_length, segment.byte(3, 45).build()},
      {Reason::ip_checksum, segment.wrong_ip_checksum().build()},
      {Reason::unknown_protocol, segment.byte(9, 47).build()},
      {Reason::tcp_truncated, segment.byte(3, 39).build()},
      {Reason::tcp_data_offset, segment.byte(32, 0x40).build()},
      {Reason::tcp_checksum, segment.wrong_checksum().build()},
      {Reason::udp_truncated, datagram.byte(3, 27).build()},
      {Reason::udp_length, datagram.byte(25, 13).build()},
      {Reason::udp_checksum, datagram.wrong_checksum().build()},
      {Reason::icmp_truncated, ping().byte(3, 27).build()},
      {Reason::icmp_checksum, ping().wrong_checksum().build()},
      {Reason::virtio_header,
       WirePacket(segment.build().bytes(), {.gso_type = VirtioHeader::kGsoTcpV4, .gso_size = 1448})},
      {Reason::zero_port, tcp("198.51.100.7:0", kWeb).syn().build()},
  };
}

TEST(PacketView, Fault14_each_fault_has_a_reason_of_its_own) {
  std::set<Reason> reached;
  for (const auto& [reason, packet] : malformed_packets()) {
    EXPECT_EQ(name_of(reason_of(packet)), name_of(reason));
    reached.insert(reason);
  }
  // All that parsing can object to: from the first reason to the port check, but for flags, which are the tracker's
  // business, and fragments, which come before it.
  for (auto i = static_cast<std::size_t>(Reason::not_ipv4); i <= static_cast<std::size_t>(Reason::zero_port); ++i) {
    const auto reason = static_cast<Reason>(i);
    const bool of_fragments = Reason::fragment_length <= reason && reason <= Reason::fragment_limit;
    EXPECT_EQ(reached.contains(reason), reason != Reason::tcp_flags && !of_fragments) << name_of(reason);
  }
}

TEST(PacketView, port_0_is_refused_on_either_side) {
  EXPECT_EQ(reason_of(tcp(kClient, "203.0.113.10:0").syn().build()), Reason::zero_port);
  EXPECT_EQ(reason_of(udp("198.51.100.7:0", kWeb).build()), Reason::zero_port);
  EXPECT_EQ(reason_of(udp(kClient, "203.0.113.10:0").build()), Reason::zero_port);
  EXPECT_EQ(reason_of(echo_request("198.51.100.7", "203.0.113.10", 0).build()), Reason::none) << "an ICMP id may be 0";
}

/// What is to be said about the first `size` bytes of a packet that is sound as a whole.
Reason reason_for_cut(const WirePacket& whole, std::size_t size) {
  const auto header = std::size_t{4} * (whole.bytes()[0] & 15U);
  if (size < 20) return Reason::ip_truncated;
  if (size < header) return Reason::ip_header_length;
  return size < whole.bytes().size() ? Reason::ip_total_length : Reason::none;
}

TEST(PacketView, Fault14_every_truncation_is_told) {
  for (const PacketBuilder& builder : sound_packets()) {
    const WirePacket whole = builder.build();
    for (std::size_t size = 0; size <= whole.bytes().size(); ++size) {
      const ExactCopy cut(whole.bytes().first(size));
      Packet packet = cut.packet(whole.virtio());
      EXPECT_EQ(name_of(parse_packet(packet).reason()), name_of(reason_for_cut(whole, size)))
          << size << " bytes of " << describe(whole.bytes());
    }
  }
}

/// The first `size` bytes of a packet without IP options, with a total length that is true: what is left is short in
/// its transport part.
WirePacket shortened(const WirePacket& whole, std::size_t size) {
  WirePacket packet(whole.bytes().first(size), whole.virtio());
  store16(&packet.bytes()[2], static_cast<std::uint16_t>(size));
  store16(&packet.bytes()[10], 0);
  store16(&packet.bytes()[10], static_cast<std::uint16_t>(~naive_sum(packet.bytes().first(20))));
  return packet;
}

TEST(PacketView, Fault14_every_truncation_with_a_true_total_length_is_told) {
  const WirePacket syn = tcp(kClient, kWeb).syn().mss(1460).timestamp(1).payload("early data").build();
  const std::size_t tcp_header = 20 + 4 + 12;
  const WirePacket datagram = udp(kClient, kWeb).payload("question").build();
  const WirePacket echo = ping().build();
  for (std::size_t size = 20; size < syn.bytes().size(); ++size) {
    const Reason expected = size < 40                ? Reason::tcp_truncated
                            : size < 20 + tcp_header ? Reason::tcp_data_offset
                                                     : Reason::tcp_checksum;
    EXPECT_EQ(name_of(reason_of(shortened(syn, size))), name_of(expected)) << size;
  }
  for (std::size_t size = 20; size < datagram.bytes().size(); ++size) {
    EXPECT_EQ(reason_of(shortened(datagram, size)), size < 28 ? Reason::udp_truncated : Reason::udp_length) << size;
  }
  for (std::size_t size = 20; size < echo.bytes().size(); ++size) {
    EXPECT_EQ(reason_of(shortened(echo, size)), size < 28 ? Reason::icmp_truncated : Reason::icmp_checksum) << size;
  }
}

TEST(PacketView, Fault15_every_single_bit_that_is_wrong_refuses_the_packet) {
  for (const PacketBuilder& builder : sound_packets()) {
    const WirePacket right = builder.build();
    for (std::size_t bit = 0; bit < right.bytes().size() * 8; ++bit) {
      WirePacket wrong = right;
      wrong.bytes()[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
      EXPECT_NE(reason_of(wrong), Reason::none) << "bit " << bit << " of " << describe(right.bytes());
    }
  }
}

TEST(PacketView, single_wrong_bits_in_the_ip_header_are_refused_whatever_the_device_verified) {
  for (const PacketBuilder& builder : sound_packets()) {
    const WirePacket right = builder.verified().build();
    for (std::size_t bit = 0; bit < 20 * 8; ++bit) {
      WirePacket wrong = right;
      wrong.bytes()[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
      EXPECT_NE(reason_of(wrong), Reason::none) << "bit " << bit << " of " << describe(right.bytes());
    }
  }
}

TEST(PacketView, Fault15_only_complete_checksums_are_verified_here) {
  const auto wrong = tcp(kClient, kWeb).ack(1).payload("data").wrong_checksum();
  EXPECT_EQ(reason_of(wrong.build()), Reason::tcp_checksum);
  const WirePacket blessed(wrong.build().bytes(), {.flags = VirtioHeader::kDataValid});
  EXPECT_EQ(reason_of(blessed), Reason::none) << "the device has looked";
  const WirePacket echo(ping().wrong_checksum().build().bytes(), {.flags = VirtioHeader::kDataValid});
  EXPECT_EQ(reason_of(echo), Reason::icmp_checksum) << "devices do not verify ICMP";
}

TEST(PacketView, Rfc5508Req3_bad_icmp_checksum_is_refused) {
  EXPECT_EQ(reason_of(port_unreachable().wrong_checksum().build()), Reason::icmp_checksum);
}

TEST(PacketView, Rfc768_udp_checksum_covers_the_udp_length_and_no_more) {
  // Four bytes of the IP payload lie behind the datagram.
  WirePacket longer = udp(kClient, kWeb).payload("datadata").build();
  WirePacket shorter = udp(kClient, kWeb).payload("data").build();
  std::copy(shorter.bytes().begin() + 20, shorter.bytes().end(), longer.bytes().begin() + 20);
  EXPECT_EQ(reason_of(longer), Reason::none);
  longer.bytes()[longer.bytes().size() - 1] ^= 1;
  EXPECT_EQ(reason_of(longer), Reason::none);
  longer.bytes()[28] ^= 1;
  EXPECT_EQ(reason_of(longer), Reason::udp_checksum);
}

TEST(PacketView, trailing_bytes_are_cut_off) {
  for (const PacketBuilder& builder : sound_packets()) {
    WirePacket padded = builder.trailing(18).build();
    Packet packet = padded.packet();
    ASSERT_TRUE(parse_packet(packet));
    EXPECT_EQ(packet.bytes.size(), padded.bytes().size() - 18);
  }
}

TEST(PacketView, icmp_takes_no_offloading) {
  WirePacket echo = ping().build();
  for (const VirtioHeader& virtio :
       {VirtioHeader{.flags = VirtioHeader::kNeedsChecksum, .checksum_start = 20, .checksum_offset = 2},
        VirtioHeader{.gso_type = VirtioHeader::kGsoUdpL4, .gso_size = 8}}) {
    EXPECT_EQ(reason_of(WirePacket(echo.bytes(), virtio)), Reason::virtio_header);
  }
}

/// Random headers whose IP part adds up, so that random bytes get past the IP checksum.
std::vector<std::uint8_t> random_packet(std::mt19937& random) {
  std::vector<std::uint8_t> bytes(20 + random() % 80);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
  const std::size_t header_words = random() % 8 == 0 ? random() % 16 : 5 + random() % 3;
  bytes[0] = static_cast<std::uint8_t>(0x40 | header_words);
  store16(&bytes[2], static_cast<std::uint16_t>(random() % 8 == 0 ? random() % 120 : bytes.size()));
  store16(&bytes[6], 0);
  constexpr std::uint8_t kProtocols[] = {1, 6, 17};
  bytes[9] = kProtocols[random() % 3];
  const std::size_t header = header_words * 4;
  if (header >= 20 && header + 18 <= bytes.size()) {
    store16(&bytes[10], 0);
    store16(&bytes[10], static_cast<std::uint16_t>(~naive_sum(std::span(bytes).first(header))));
    if (random() % 2 == 0) bytes[header + 12] = static_cast<std::uint8_t>(random() % 12 << 4);      // TCP data offset
    if (random() % 2 == 0) store16(&bytes[header + 4], static_cast<std::uint16_t>(random() % 90));  // UDP length
  }
  return bytes;
}

TEST(PacketView, random_headers_are_never_read_beyond_their_end) {
  std::mt19937 random(1);
  std::size_t sound = 0;
  for (int round = 0; round < 200000; ++round) {
    const ExactCopy copy(random_packet(random));
    Packet packet = copy.packet({.flags = VirtioHeader::kDataValid});
    describe(packet.bytes);
    const auto view = parse_packet(packet);
    if (!view) continue;
    ++sound;
    // All that the view shows lies within the packet.
    const auto* end = copy.bytes().data() + copy.bytes().size();
    ASSERT_LE(view->ip.payload().data() + view->ip.payload().size(), end);
    if (view->protocol == Protocol::tcp) {
      ASSERT_EQ(view->tcp.header_length() + view->tcp.payload_length(), view->ip.payload().size());
      view->tcp.options();
    } else if (view->protocol == Protocol::udp) {
      ASSERT_LE(view->udp.payload().data() + view->udp.payload().size(), end);
    }
  }
  EXPECT_GT(sound, 10000U) << "the test has to get past the checks to be worth anything";
}

}  // namespace
}  // namespace vipgate::test
