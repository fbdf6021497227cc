#include "wire/virtio.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "support/packet_builder.h"
#include "vipgate/inspect.h"
#include "wire/bytes.h"

namespace vipgate::test {
namespace {

constexpr auto kClient = "198.51.100.7:40000";
constexpr auto kWeb = "203.0.113.10:80";

const auto kSegment = tcp(kClient, kWeb).ack(1).payload_of(3000);
const auto kDatagram = udp(kClient, kWeb).payload_of(3000);

Parsed<ChecksumKind> kind_of(const WirePacket& packet, const VirtioHeader& virtio) {
  return checksum_kind(virtio, *Ipv4View::parse(packet.bytes()));
}
Parsed<ChecksumKind> kind_of(const WirePacket& packet) {
  return kind_of(packet, packet.virtio());
}

TEST(VirtioChecksumKind, follows_the_flags) {
  EXPECT_EQ(*kind_of(kSegment.build()), ChecksumKind::complete);
  EXPECT_EQ(*kind_of(kSegment.verified().build()), ChecksumKind::verified);
  EXPECT_EQ(*kind_of(kSegment.partial_checksum().build()), ChecksumKind::partial);
  EXPECT_EQ(*kind_of(kSegment.gso(1448).build()), ChecksumKind::partial);
  EXPECT_EQ(*kind_of(kDatagram.partial_checksum().build()), ChecksumKind::partial);
  EXPECT_EQ(*kind_of(kDatagram.gso(1448).build()), ChecksumKind::partial);
}

TEST(VirtioChecksumKind, needs_checksum_goes_before_data_valid) {
  VirtioHeader both = kSegment.partial_checksum().build().virtio();
  both.flags |= VirtioHeader::kDataValid;
  EXPECT_EQ(*kind_of(kSegment.build(), both), ChecksumKind::partial);
}

TEST(VirtioChecksumKind, takes_the_transports_own_field_alone) {
  for (const WirePacket& packet : {kSegment.partial_checksum().build(), kDatagram.partial_checksum().build(),
                                   kSegment.ip_options({1, 1, 1, 1}).partial_checksum().build()}) {
    EXPECT_TRUE(kind_of(packet));
    for (const int shift : {-20, -4, -2, -1, 1, 2, 4, 20}) {
      VirtioHeader start = packet.virtio();
      start.checksum_start = static_cast<std::uint16_t>(start.checksum_start + shift);
      EXPECT_EQ(kind_of(packet, start).reason(), Reason::virtio_header) << shift;
      VirtioHeader offset = packet.virtio();
      offset.checksum_offset = static_cast<std::uint16_t>(offset.checksum_offset + shift);
      EXPECT_EQ(kind_of(packet, offset).reason(), Reason::virtio_header) << shift;
    }
  }
}

TEST(VirtioChecksumKind, segmentation_needs_a_partial_checksum_a_size_and_the_right_protocol) {
  const VirtioHeader right = kSegment.gso(1448).build().virtio();
  const auto reason_with = [&](auto change) {
    VirtioHeader virtio = right;
    change(virtio);
    return kind_of(kSegment.build(), virtio).reason();
  };
  EXPECT_EQ(reason_with([](VirtioHeader&) {}), Reason::none);
  EXPECT_EQ(reason_with([](VirtioHeader& v) { v.gso_type |= VirtioHeader::kGsoEcn; }), Reason::none);
  EXPECT_EQ(reason_with([](VirtioHeader& v) { v.flags = 0; }), Reason::virtio_header);
  EXPECT_EQ(reason_with([](VirtioHeader& v) { v.flags = VirtioHeader::kDataValid; }), Reason::virtio_header);
  EXPECT_EQ(reason_with([](VirtioHeader& v) { v.gso_size = 0; }), Reason::virtio_header);
  EXPECT_EQ(reason_with([](VirtioHeader& v) { v.gso_type = VirtioHeader::kGsoUdpL4; }), Reason::virtio_header);
  EXPECT_EQ(reason_with([](VirtioHeader& v) { v.gso_type = 4; }), Reason::virtio_header);  // TCP over IPv6
  EXPECT_EQ(reason_with([](VirtioHeader& v) { v.gso_type = 3; }), Reason::virtio_header);  // UDP fragmentation
  EXPECT_EQ(kind_of(kDatagram.build(), right).reason(), Reason::virtio_header);
}

TEST(VirtioPartialHeader, names_the_place_of_the_checksum) {
  for (const PacketBuilder& builder : {kSegment, kDatagram, kSegment.ip_options({1, 1, 1, 1})}) {
    const WirePacket packet = builder.partial_checksum().build();
    const VirtioHeader virtio = partial_checksum_header(*Ipv4View::parse(packet.bytes()));
    EXPECT_EQ(virtio.flags, VirtioHeader::kNeedsChecksum);
    EXPECT_EQ(virtio.checksum_start, packet.virtio().checksum_start);
    EXPECT_EQ(virtio.checksum_offset, packet.virtio().checksum_offset);
    EXPECT_EQ(virtio.gso_type, VirtioHeader::kGsoNone);
  }
}

TEST(FinishChecksum, partial_ones_become_right) {
  for (const PacketBuilder& builder : {kSegment, kDatagram, kSegment.ip_options({1, 1, 1, 1}), kSegment.gso(500),
                                       kDatagram.payload("odd").trailing(7)}) {
    WirePacket packet = builder.partial_checksum().build();
    if (builder.build().virtio().gso_size != 0) packet = builder.build();
    finish_checksum(packet.bytes(), packet.virtio());
    EXPECT_EQ(test::naive_transport_sum(packet.bytes()), 0xffff);
  }
}

TEST(FinishChecksum, a_datagrams_is_never_zero) {
  for (std::uint32_t i = 0; i < 0x10000; ++i) {
    const auto text = std::string{static_cast<char>(i >> 8), static_cast<char>(i)};
    WirePacket packet = kDatagram.payload(text).partial_checksum().build();
    finish_checksum(packet.bytes(), packet.virtio());
    ASSERT_NE(load16(packet.bytes().data() + 26), 0) << i;
  }
}

TEST(FinishChecksum, others_stay_as_they_are) {
  for (const PacketBuilder& builder : {kSegment, kSegment.wrong_checksum(), kSegment.verified(),
                                       kDatagram.no_checksum(), kSegment.fragment(0, true)}) {
    WirePacket packet = builder.build();
    const WirePacket before = packet;
    finish_checksum(packet.bytes(), packet.virtio());
    EXPECT_TRUE(std::ranges::equal(packet.bytes(), before.bytes()));
  }
  WirePacket cut = kSegment.payload("data").partial_checksum().build();
  const WirePacket before = cut;
  finish_checksum(cut.bytes().first(41), cut.virtio());
  EXPECT_TRUE(std::ranges::equal(cut.bytes(), before.bytes())) << "bytes of it are missing";
}

TEST(VirtioOfCapture, complete_checksums_are_left_alone) {
  for (const PacketBuilder& builder : {kSegment, kDatagram, kSegment.wrong_checksum(), kDatagram.no_checksum(),
                                       echo_request("198.51.100.7", "203.0.113.10", 1), kSegment.fragment(0, true)}) {
    const VirtioHeader virtio = virtio_header_of_capture(builder.build().bytes(), 1500);
    EXPECT_EQ(virtio.flags, 0);
    EXPECT_EQ(virtio.gso_type, VirtioHeader::kGsoNone);
  }
}

TEST(VirtioOfCapture, pseudo_header_sum_is_taken_as_partial) {
  const auto small = tcp(kClient, kWeb).ack(1).payload("data").partial_checksum().build();
  const VirtioHeader virtio = virtio_header_of_capture(small.bytes(), 1500);
  EXPECT_EQ(virtio.flags, VirtioHeader::kNeedsChecksum);
  EXPECT_EQ(virtio.checksum_start, 20);
  EXPECT_EQ(virtio.checksum_offset, 16);
  EXPECT_EQ(virtio.gso_type, VirtioHeader::kGsoNone);

  const auto datagram = udp(kClient, kWeb).payload("data").partial_checksum().build();
  EXPECT_EQ(virtio_header_of_capture(datagram.bytes(), 1500).checksum_offset, 6);
}

TEST(VirtioOfCapture, packet_beyond_the_mtu_is_a_super_packet) {
  const auto large = kSegment.timestamp(1).partial_checksum().build();
  const VirtioHeader virtio = virtio_header_of_capture(large.bytes(), 1500);
  EXPECT_EQ(virtio.gso_type, VirtioHeader::kGsoTcpV4);
  EXPECT_EQ(virtio.header_length, 52);
  EXPECT_EQ(virtio.gso_size, 1500 - 52);
  EXPECT_TRUE(kind_of(large, virtio));
  EXPECT_EQ(virtio_header_of_capture(large.bytes(), 3052).gso_type, VirtioHeader::kGsoNone);
  EXPECT_EQ(virtio_header_of_capture(large.bytes(), 40).gso_size, 1) << "never 0, which would contradict itself";
}

TEST(VirtioOfCapture, cut_and_broken_packets_have_none) {
  const auto packet = kSegment.partial_checksum().build();
  for (std::size_t size = 0; size < 60; ++size) {
    EXPECT_EQ(virtio_header_of_capture(packet.bytes().first(size), 1500).flags, 0) << size;
  }
}

TEST(ChecksumsAreRight, agrees_with_a_naive_look_at_right_and_wrong_packets) {
  std::mt19937 random(1);
  int wrong = 0;
  for (int round = 0; round < 20000; ++round) {
    PacketBuilder builder =
        random() % 2 == 0 ? tcp(kClient, kWeb).ack(static_cast<std::uint32_t>(random())) : udp(kClient, kWeb);
    if (random() % 4 == 0)
      builder = echo_request("198.51.100.7", "203.0.113.10", 9).seq(static_cast<std::uint32_t>(random()));
    builder = builder.payload_of(random() % 200);
    if (builder.build().bytes()[9] != 1 && random() % 3 == 0) builder = builder.partial_checksum();
    WirePacket packet = builder.build();
    if (random() % 2 == 0) {  // behind the fields that say where things are
      const std::size_t at = random() % 2 == 0 ? 8 : 26 + random() % (packet.bytes().size() - 26);
      if (at != 32) packet.bytes()[at] ^= static_cast<std::uint8_t>(1 << random() % 8);
    }
    const bool expected = checksum_fault(packet.packet()).empty();
    wrong += expected ? 0 : 1;
    ASSERT_EQ(checksums_are_right(packet.packet()), expected) << describe(packet.bytes());
  }
  EXPECT_GT(wrong, 5000);
}

TEST(ChecksumsAreRight, holds_for_headers_alone_where_there_is_no_transport_checksum) {
  EXPECT_TRUE(checksums_are_right(kSegment.fragment(0, true).build().packet()));
  EXPECT_TRUE(checksums_are_right(kSegment.byte(9, 47).build().packet()));
  EXPECT_TRUE(checksums_are_right(kDatagram.no_checksum().build().packet()));
  EXPECT_FALSE(checksums_are_right(kSegment.fragment(0, true).wrong_ip_checksum().build().packet()));
}

TEST(ChecksumsAreRight, partial_has_to_be_the_pseudo_header_sum) {
  WirePacket packet = kSegment.partial_checksum().build();
  EXPECT_TRUE(checksums_are_right(packet.packet()));
  store16(&packet.bytes()[36], static_cast<std::uint16_t>(load16(&packet.bytes()[36]) + 1));
  EXPECT_FALSE(checksums_are_right(packet.packet()));
  const WirePacket complete = kSegment.build();
  WirePacket mislabelled(complete.bytes(), kSegment.partial_checksum().build().virtio());
  EXPECT_FALSE(checksums_are_right(mislabelled.packet()));
}

}  // namespace
}  // namespace vipgate::test
