#include "vipgate/coalesce.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "support/packet_builder.h"
#include "vipgate/inspect.h"
#include "wire/bytes.h"
#include "wire/ipv4.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace vipgate::test {
namespace {

using testing::ElementsAre;
using Bytes = std::vector<std::uint8_t>;

constexpr auto kClient = "198.51.100.7:40000";
constexpr auto kOther = "198.51.100.8:40000";
constexpr auto kBackend = "10.0.0.2:80";
constexpr std::size_t kSegment = 1000;

const auto kTcp = tcp(kClient, kBackend).ack(1).timestamp(7, 8).payload_of(kSegment);
const auto kUdp = udp(kClient, kBackend).payload_of(kSegment);

/// What comes out: each a packet, or a super-packet in one piece.
std::vector<WirePacket> coalesce(std::vector<WirePacket>& packets, Coalescing what = Coalescing::tcp_and_udp,
                                 bool checked = true) {
  Coalescer coalescer(what);
  coalescer.clear();
  for (WirePacket& packet : packets) coalescer.add(packet.packet(), checked);
  std::vector<WirePacket> out;
  coalescer.for_each([&](const Packet& head, std::span<const std::span<const std::uint8_t>> rest) {
    Bytes bytes(head.bytes.begin(), head.bytes.end());
    for (const auto part : rest) bytes.insert(bytes.end(), part.begin(), part.end());
    out.emplace_back(bytes, head.virtio);
    if (!rest.empty()) {
      EXPECT_EQ(checksum_fault(out.back().packet()), "");
    }
  });
  return out;
}

std::vector<WirePacket> build(std::initializer_list<PacketBuilder> builders) {
  std::vector<WirePacket> packets;
  for (const PacketBuilder& builder : builders) packets.push_back(builder.build());
  return packets;
}

/// How many packets each of those that come out is made of.
std::vector<int> parts(std::initializer_list<PacketBuilder> builders, Coalescing what = Coalescing::tcp_and_udp) {
  std::vector<WirePacket> packets = build(builders);
  std::vector<int> counts;
  for (const WirePacket& packet : coalesce(packets, what)) {
    const std::uint16_t size = packet.virtio().gso_size;
    const bool is_tcp = packet.bytes()[ipv4::kProtocol] == 6;
    const std::size_t headers = is_tcp ? 20 + TcpView::parse(packet.bytes().subspan(20))->header_length() : 28;
    counts.push_back(size == 0 ? 1 : static_cast<int>((packet.bytes().size() - headers + size - 1) / size));
  }
  return counts;
}

/// What a device makes of a packet, done slowly: the segments, checksums left out.
std::vector<Bytes> segments_of(const WirePacket& packet) {
  const auto bytes = packet.bytes();
  const bool is_tcp = bytes[ipv4::kProtocol] == 6;
  const std::size_t headers = is_tcp ? 20 + std::size_t{4} * (bytes[32] >> 4) : 28;
  const std::size_t size = packet.virtio().gso_type == VirtioHeader::kGsoNone ? SIZE_MAX : packet.virtio().gso_size;
  std::vector<Bytes> segments;
  for (std::size_t at = headers; at < bytes.size() || segments.empty();) {
    const std::size_t length = std::min(size, bytes.size() - at);
    Bytes segment(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(headers));
    segment.insert(segment.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at),
                   bytes.begin() + static_cast<std::ptrdiff_t>(at + length));
    store16(&segment[ipv4::kTotalLength], static_cast<std::uint16_t>(segment.size()));
    store16(&segment[ipv4::kId], static_cast<std::uint16_t>(load16(&bytes[ipv4::kId]) + segments.size()));
    store16(&segment[ipv4::kChecksum], 0);
    if (is_tcp) {
      store32(&segment[20 + tcp::kSequence], static_cast<std::uint32_t>(load32(&bytes[24]) + (at - headers)));
      if (at + length < bytes.size()) segment[20 + tcp::kFlags] &= static_cast<std::uint8_t>(~tcp::kPsh);
      store16(&segment[20 + tcp::kChecksum], 0);
    } else {
      store16(&segment[20 + udp::kLength], static_cast<std::uint16_t>(segment.size() - 20));
      store16(&segment[20 + udp::kChecksum], 0);
    }
    // Of datagrams that are not to be fragmented the identification means nothing.
    if ((load16(&bytes[ipv4::kFragment]) & ipv4::kDontFragment) != 0) store16(&segment[ipv4::kId], 0);
    segments.push_back(std::move(segment));
    at += length;
    if (length == 0) break;
  }
  return segments;
}

TEST(Coalesce, segments_that_follow_each_other_leave_as_one) {
  EXPECT_THAT(parts({kTcp.seq(0), kTcp.seq(1000), kTcp.seq(2000)}), ElementsAre(3));
  EXPECT_THAT(parts({kTcp.seq(0xfffffc18), kTcp.seq(0), kTcp.seq(1000)}), ElementsAre(3));
}

TEST(Coalesce, the_super_packet_says_what_it_is) {
  std::vector<WirePacket> packets = build({kTcp.seq(5), kTcp.seq(1005).psh()});
  const std::vector<WirePacket> out = coalesce(packets);
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(describe(out[0].bytes()), "tcp 198.51.100.7:40000 > 10.0.0.2:80 PA seq 5 ack 1 win 64240 length 2000");
  EXPECT_EQ(out[0].virtio().gso_type, VirtioHeader::kGsoTcpV4);
  EXPECT_EQ(out[0].virtio().gso_size, kSegment);
  EXPECT_EQ(out[0].virtio().flags, VirtioHeader::kNeedsChecksum);
  EXPECT_EQ(out[0].virtio().checksum_start, 20);
  EXPECT_EQ(out[0].virtio().checksum_offset, 16);
  EXPECT_EQ(out[0].virtio().header_length, 52);
}

TEST(Coalesce, a_hole_or_a_repetition_parts_them) {
  EXPECT_THAT(parts({kTcp.seq(0), kTcp.seq(2000), kTcp.seq(3000)}), ElementsAre(1, 2));
  EXPECT_THAT(parts({kTcp.seq(0), kTcp.seq(0), kTcp.seq(1000)}), ElementsAre(1, 2));
  EXPECT_THAT(parts({kTcp.seq(0), kTcp.seq(999)}), ElementsAre(1, 1));
}

TEST(Coalesce, flags_part_them) {
  for (const std::uint8_t flags : {tcp::kSyn, tcp::kFin, tcp::kRst, tcp::kUrg, tcp::kEce, tcp::kCwr}) {
    const auto flagged = static_cast<std::uint8_t>(tcp::kAck | flags);
    EXPECT_THAT(parts({kTcp.seq(0), kTcp.seq(1000).flags(flagged), kTcp.seq(2000)}), ElementsAre(1, 1, 1))
        << int{flags};
    EXPECT_THAT(parts({kTcp.seq(0).flags(flagged), kTcp.seq(1000)}), ElementsAre(1, 1)) << int{flags};
  }
  EXPECT_THAT(parts({kTcp.seq(0).flags(0), kTcp.seq(1000).flags(0)}), ElementsAre(1, 1));
}

TEST(Coalesce, a_push_ends_a_super_packet) {
  EXPECT_THAT(parts({kTcp.seq(0).psh(), kTcp.seq(1000)}), ElementsAre(1, 1));
  EXPECT_THAT(parts({kTcp.seq(0), kTcp.seq(1000).psh(), kTcp.seq(2000)}), ElementsAre(2, 1));
}

TEST(Coalesce, a_shorter_segment_ends_a_super_packet_and_a_longer_one_begins_one) {
  const auto small = kTcp.payload_of(400);
  EXPECT_THAT(parts({kTcp.seq(0), small.seq(1000), kTcp.seq(1400), kTcp.seq(2400)}), ElementsAre(2, 2));
  EXPECT_THAT(parts({small.seq(0), kTcp.seq(400), kTcp.seq(1400)}), ElementsAre(1, 2));
  EXPECT_THAT(parts({kUdp, kUdp.payload_of(400), kUdp}), ElementsAre(2, 1));
}

TEST(Coalesce, segments_without_data_go_alone) {
  const auto empty = kTcp.payload_of(0);
  EXPECT_THAT(parts({empty.seq(0), empty.seq(0)}), ElementsAre(1, 1));
  EXPECT_THAT(parts({kTcp.seq(0), empty.seq(1000), kTcp.seq(1000)}), ElementsAre(1, 1, 1));
  EXPECT_THAT(parts({kUdp.payload_of(0), kUdp.payload_of(0)}), ElementsAre(1, 1));
}

TEST(Coalesce, headers_that_differ_part_them) {
  const auto next = kTcp.seq(1000);
  for (const auto& other :
       {next.ack(2), next.win(1), next.tos(4), next.ttl(63),
        tcp(kOther, kBackend).ack(1).timestamp(7, 8).payload_of(kSegment).seq(1000), next.byte(20 + 20 + 4, 9),
        next.byte(20 + tcp::kUrgent, 1), next.ip_options({1, 1, 1, 1}), next.byte(6, 0)}) {
    EXPECT_THAT(parts({kTcp.seq(0), other}), ElementsAre(1, 1)) << describe(other.build().bytes());
  }
  for (const auto& other : {kUdp.tos(4), kUdp.ttl(63), kUdp.ip_options({1, 1, 1, 1}),
                            udp(kClient, "10.0.0.2:81").payload_of(kSegment), kUdp.byte(6, 0)}) {
    EXPECT_THAT(parts({kUdp, other}), ElementsAre(1, 1)) << describe(other.build().bytes());
  }
}

TEST(Coalesce, flows_that_take_turns_are_joined_each) {
  const auto other = tcp(kOther, kBackend).ack(1).payload_of(kSegment);
  EXPECT_THAT(parts({kTcp.seq(0), other.seq(0), kTcp.seq(1000), other.seq(1000), kTcp.seq(2000), kUdp}),
              ElementsAre(3, 2, 1));
}

TEST(Coalesce, flows_are_told_apart_by_addresses_and_ports) {
  for (int i = 1; i < 200; ++i) {  // many more than are looked up apart
    const std::string n = std::to_string(i);
    const auto segment = [](const std::string& from) { return tcp(from, kBackend).ack(1).payload_of(kSegment); };
    EXPECT_THAT(parts({segment("198.51.100.0:1"), segment("198.51.100." + n + ":1").seq(1000)}), ElementsAre(1, 1))
        << n;
    EXPECT_THAT(parts({segment("198.51.100.0:1"), segment("198.51.100.0:1" + n).seq(1000)}), ElementsAre(1, 1)) << n;
  }
}

TEST(Coalesce, nothing_overtakes_a_packet_of_its_flow) {
  // The third would fit behind the first.
  EXPECT_THAT(parts({kTcp.seq(0), kTcp.seq(5000), kTcp.seq(1000)}), ElementsAre(1, 1, 1));
  EXPECT_THAT(parts({kUdp, kUdp.no_checksum(), kUdp}), ElementsAre(1, 1, 1));
  // What is not looked into may be of any flow.
  EXPECT_THAT(parts({kUdp, kUdp.fragment(0, true), kUdp, kUdp}), ElementsAre(1, 1, 2));
  EXPECT_THAT(parts({kUdp, kUdp.ip_options({1}), kUdp, kUdp}), ElementsAre(1, 1, 2));
  const auto padded = kUdp.byte(20 + udp::kLength + 1, 0xef);  // a datagram that is shorter than its packet
  EXPECT_THAT(parts({kUdp, padded, kUdp, kUdp}), ElementsAre(1, 1, 2));
  EXPECT_THAT(parts({kUdp.fragment(0, true), kUdp.fragment(0, true)}), ElementsAre(1, 1));
}

TEST(Coalesce, datagrams_without_a_checksum_go_alone) {
  EXPECT_THAT(parts({kUdp, kUdp, kUdp}), ElementsAre(3));
  EXPECT_THAT(parts({kUdp.no_checksum(), kUdp.no_checksum()}), ElementsAre(1, 1));
}

TEST(Coalesce, datagrams_that_may_be_fragmented_keep_their_identification) {
  const auto next = [](const PacketBuilder& builder, std::uint16_t id) { return builder.byte(6, 0).ip_id(id); };
  EXPECT_THAT(parts({next(kUdp, 0xffff), next(kUdp, 0), next(kUdp, 1)}), ElementsAre(3));
  EXPECT_THAT(parts({next(kUdp, 7), next(kUdp, 9)}), ElementsAre(1, 1));
  EXPECT_THAT(parts({next(kUdp, 7), next(kUdp, 7)}), ElementsAre(1, 1));
  EXPECT_THAT(parts({kUdp.ip_id(7), kUdp.ip_id(7)}), ElementsAre(2));
}

TEST(Coalesce, super_packets_are_joined_where_their_segments_are_of_one_size) {
  const auto super = kTcp.payload_of(3000).gso(1000);
  EXPECT_THAT(parts({super.seq(0), super.seq(3000), kTcp.seq(6000)}), ElementsAre(7));
  EXPECT_THAT(parts({kTcp.seq(0), super.seq(1000)}), ElementsAre(4));
  EXPECT_THAT(parts({super.seq(0), kTcp.payload_of(3000).gso(500).seq(3000)}), ElementsAre(3, 6));
  EXPECT_THAT(parts({kTcp.payload_of(2500).gso(1000).seq(0), kTcp.seq(2500)}), ElementsAre(3, 1));
}

TEST(Coalesce, super_packets_with_congestion_notification_go_alone) {
  const WirePacket plain = kTcp.payload_of(3000).gso(1000).build();
  VirtioHeader virtio = plain.virtio();
  virtio.gso_type |= VirtioHeader::kGsoEcn;
  std::vector<WirePacket> packets{{plain.bytes(), virtio}, kTcp.seq(3000).build()};
  EXPECT_EQ(coalesce(packets).size(), 2U);
}

TEST(Coalesce, no_packet_is_longer_than_IP_allows) {
  const auto super = kTcp.payload_of(32000).gso(1000);
  EXPECT_THAT(parts({super.seq(0), super.seq(32000), kTcp.seq(64000), kTcp.seq(65000)}), ElementsAre(65, 1));
}

TEST(Coalesce, no_datagram_has_more_segments_than_linux_takes) {
  const auto super = udp(kClient, kBackend).payload_of(320).gso(10);
  EXPECT_THAT(parts({super, super, super}), ElementsAre(64, 32));
}

TEST(Coalesce, takes_what_the_device_segments) {
  EXPECT_THAT(parts({kTcp.seq(0), kTcp.seq(1000), kUdp, kUdp}, Coalescing::tcp), ElementsAre(2, 1, 1));
  EXPECT_THAT(parts({kTcp.seq(0), kTcp.seq(1000), kUdp, kUdp}, Coalescing::none), ElementsAre(1, 1, 1, 1));
}

TEST(Coalesce, what_nobody_has_checked_goes_as_it_came) {
  std::vector<WirePacket> packets = build({kTcp.seq(0), kTcp.seq(1000)});
  EXPECT_EQ(coalesce(packets, Coalescing::tcp_and_udp, /*checked=*/false).size(), 2U);
}

/// Packets of a few flows, most of which follow each other.
std::vector<WirePacket> random_packets(std::mt19937& random) {
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  std::map<int, std::uint32_t> sequences;
  std::map<int, std::uint16_t> ids;
  std::vector<WirePacket> packets;
  const int count = 1 + pick(static_cast<int>(Coalescer::kMaxPackets));
  while (static_cast<int>(packets.size()) < count) {
    const int flow = pick(4);
    const std::string source = "198.51.100." + std::to_string(flow) + ":4000";
    const bool is_tcp = flow < 2;
    PacketBuilder packet = is_tcp ? tcp(source, kBackend).ack(1) : udp(source, kBackend);
    const int segments = pick(8) == 0 ? 1 + pick(3) : 1;
    const int length = pick(6) == 0 ? pick(100) : 100 * segments;
    packet = packet.payload_of(static_cast<std::size_t>(length)).ip_id(ids[flow]++);
    if (is_tcp) packet = packet.seq(sequences[flow]);
    if (is_tcp && pick(20) == 0) packet = packet.win(7);
    if (is_tcp && pick(12) == 0) packet = packet.psh();
    if (is_tcp && pick(30) == 0) packet = packet.fin();
    if (is_tcp && pick(10) == 0) packet = packet.timestamp(1, 2);
    if (flow % 2 == 1) packet = packet.byte(6, 0);  // may be fragmented
    if (segments > 1 && length > 100)
      packet = packet.gso(100);
    else if (pick(3) == 0)
      packet = packet.partial_checksum();
    else if (!is_tcp && pick(8) == 0)
      packet = packet.no_checksum();
    if (pick(15) != 0) sequences[flow] += static_cast<std::uint32_t>(length);
    packets.push_back(packet.build());
  }
  return packets;
}

TEST(Coalesce, the_same_packets_come_out_in_their_order) {
  std::mt19937 random(20'261'123);
  std::size_t given = 0;
  std::size_t sent = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<WirePacket> packets = random_packets(random);
    std::map<std::string, std::vector<Bytes>> expected;  // by flow
    const auto flow_of = [](const WirePacket& packet) { return endpoints_of(packet.bytes())->source.to_string(); };
    for (const WirePacket& packet : packets) {
      for (Bytes& segment : segments_of(packet)) expected[flow_of(packet)].push_back(std::move(segment));
    }
    given += packets.size();
    std::map<std::string, std::vector<Bytes>> got;
    for (const WirePacket& packet : coalesce(packets)) {
      ++sent;
      for (Bytes& segment : segments_of(packet)) got[flow_of(packet)].push_back(std::move(segment));
    }
    ASSERT_EQ(got, expected) << "round " << round;
  }
  EXPECT_LT(sent, given * 3 / 4);  // else little was tried
}

}  // namespace
}  // namespace vipgate::test
