#include "nat/answer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>

#include "support/packet_builder.h"
#include "support/parse_packet.h"
#include "vipgate/inspect.h"

namespace vipgate::test {
namespace {

constexpr auto kClient = "198.51.100.7:40000";
constexpr auto kWeb = "203.0.113.10:80";

using Maker = std::function<std::optional<Packet>(const PacketView&, std::span<std::uint8_t, kAnswerBufferSize>)>;

/// What `make` answers to a packet; empty where nothing.
std::optional<WirePacket> answer_to(WirePacket request, const Maker& make) {
  Packet packet = request.packet();
  const auto view = parse_packet(packet);
  EXPECT_TRUE(view) << name_of(view.reason());
  std::array<std::uint8_t, kAnswerBufferSize> buffer;
  buffer.fill(0xcd);
  const auto answer = make(*view, buffer);
  if (!answer) return std::nullopt;
  return WirePacket(answer->bytes, answer->virtio);
}

/// The same in words; "nothing" where there is no answer.
std::string reset_for(const PacketBuilder& segment) {
  auto answer = answer_to(segment.build(), make_reset);
  if (!answer) return "nothing";
  EXPECT_EQ(checksum_fault(answer->packet()), "");
  return describe(answer->bytes());
}

std::optional<WirePacket> unreachable_for(const WirePacket& packet, std::uint8_t code) {
  return answer_to(packet, [code](const PacketView& view, auto buffer) {
    return make_error(view.ip, icmp::kUnreachable, code, buffer);
  });
}

TEST(Reset, Rfc9293_takes_its_sequence_from_an_acknowledgement) {
  EXPECT_EQ(reset_for(tcp(kClient, kWeb).seq(1000).ack(5000).payload("data")),
            "tcp 203.0.113.10:80 > 198.51.100.7:40000 R seq 5000 win 0 length 0");
  EXPECT_EQ(reset_for(tcp(kClient, kWeb).syn().seq(1000).ack(5000)),
            "tcp 203.0.113.10:80 > 198.51.100.7:40000 R seq 5000 win 0 length 0");
}

TEST(Reset, Rfc9293_acknowledges_what_came_without_one) {
  EXPECT_EQ(reset_for(tcp(kClient, kWeb).syn().seq(1000)),
            "tcp 203.0.113.10:80 > 198.51.100.7:40000 RA seq 0 ack 1001 win 0 length 0");
  EXPECT_EQ(reset_for(tcp(kClient, kWeb).syn().seq(1000).payload("early")),
            "tcp 203.0.113.10:80 > 198.51.100.7:40000 RA seq 0 ack 1006 win 0 length 0");
  EXPECT_EQ(reset_for(tcp(kClient, kWeb).fin().seq(1000).payload("end")),
            "tcp 203.0.113.10:80 > 198.51.100.7:40000 RA seq 0 ack 1004 win 0 length 0");
  EXPECT_EQ(reset_for(tcp(kClient, kWeb).syn().seq(0xffffffff)),
            "tcp 203.0.113.10:80 > 198.51.100.7:40000 RA seq 0 ack 0 win 0 length 0");
}

TEST(Reset, Rfc9293_does_not_answer_a_reset) {
  EXPECT_EQ(reset_for(tcp(kClient, kWeb).rst().seq(1)), "nothing");
  EXPECT_EQ(reset_for(tcp(kClient, kWeb).rst().seq(1).ack(2)), "nothing");
}

TEST(Reset, counts_no_options_as_data) {
  EXPECT_EQ(reset_for(tcp(kClient, kWeb).ip_options({1, 1, 1, 1}).syn().seq(1).mss(1460).sack_permitted().timestamp(1)),
            "tcp 203.0.113.10:80 > 198.51.100.7:40000 RA seq 0 ack 2 win 0 length 0");
}

TEST(Reset, of_a_super_packet_has_a_virtio_header_of_its_own) {
  const auto answer = answer_to(tcp(kClient, kWeb).seq(1).ack(2).payload_of(6000).gso(1448).build(), make_reset);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->virtio().flags, 0);
  EXPECT_EQ(answer->virtio().gso_type, VirtioHeader::kGsoNone);
  EXPECT_EQ(answer->bytes().size(), 40U);
}

std::span<const std::uint8_t> quoted_by(const WirePacket& error) {
  return error.bytes().subspan(28);
}

TEST(Unreachable, Rfc792_quotes_the_packet_to_its_sender) {
  const WirePacket request = udp(kClient, kWeb).payload("question").build();
  auto error = unreachable_for(request, icmp::kPortUnreachable);
  ASSERT_TRUE(error);
  EXPECT_EQ(checksum_fault(error->packet()), "");
  EXPECT_EQ(describe(error->bytes()),
            "icmp 203.0.113.10 > 198.51.100.7 type 3 code 3 about protocol 17 198.51.100.7 > 203.0.113.10");
  EXPECT_TRUE(std::ranges::equal(quoted_by(*error), request.bytes()));
}

TEST(Unreachable, Rfc1812_is_never_longer_than_576_bytes) {
  for (const std::size_t size : {0U, 1U, 519U, 520U, 521U, 1472U, 60000U}) {
    const WirePacket request = udp(kClient, kWeb).payload_of(size).build();
    auto error = unreachable_for(request, icmp::kAdministrativelyProhibited);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->bytes().size(), std::min<std::size_t>(576, 28 + 28 + size));
    EXPECT_TRUE(std::ranges::equal(quoted_by(*error), request.bytes().first(quoted_by(*error).size())));
    EXPECT_EQ(checksum_fault(error->packet()), "") << size;
    EXPECT_EQ(error->bytes()[21], 13);
  }
}

TEST(Unreachable, does_not_quote_bytes_behind_the_packet) {
  const auto error = unreachable_for(udp(kClient, kWeb).payload("data").trailing(14).build(), 3);
  ASSERT_TRUE(error);
  EXPECT_EQ(quoted_by(*error).size(), 32U);
}

TEST(Unreachable, Rfc1812_is_never_about_an_icmp_error) {
  const WirePacket about = udp(kWeb, kClient).build();
  for (const std::uint8_t type : {icmp::kUnreachable, icmp::kTimeExceeded, icmp::kParameterProblem}) {
    const WirePacket error = icmp_error("198.51.100.7", "203.0.113.10", type, 0).quoting(about).build();
    EXPECT_FALSE(unreachable_for(error, 3)) << int{type};
  }
  EXPECT_TRUE(unreachable_for(echo_request("198.51.100.7", "203.0.113.10", 1).build(), 1));
}

TEST(Unreachable, Rfc1812_has_the_precedence_of_control_traffic) {
  const auto error = unreachable_for(udp(kClient, kWeb).tos(0x10).build(), 3);
  EXPECT_EQ(Ipv4View::parse(error->bytes())->tos(), 0xc0);
}

WirePacket echoed(WirePacket request) {
  Packet packet = request.packet();
  const auto view = parse_packet(packet);
  EXPECT_TRUE(view) << name_of(view.reason());
  turn_into_echo_reply(packet, *view);
  return WirePacket(packet.bytes, packet.virtio);
}

TEST(EchoReply, Rfc1122_brings_id_sequence_and_data_back) {
  WirePacket reply =
      echoed(echo_request("198.51.100.7", "203.0.113.10", 7).seq(3).ttl(9).payload("0123456789").build());
  const WirePacket expected =
      echo_reply("203.0.113.10", "198.51.100.7", 7).seq(3).ttl(64).payload("0123456789").build();
  EXPECT_EQ(checksum_fault(reply.packet()), "");
  EXPECT_TRUE(std::ranges::equal(reply.bytes(), expected.bytes())) << describe(reply.bytes());
}

TEST(EchoReply, checksums_are_right_for_any_id_and_time_to_live) {
  for (std::uint32_t i = 0; i <= 0xffff; i += 7) {
    const auto request = echo_request("198.51.100.7", "203.0.113.10", static_cast<std::uint16_t>(i));
    WirePacket reply = echoed(request.seq(0xffff - i).ttl(static_cast<std::uint8_t>(i)).build());
    ASSERT_EQ(checksum_fault(reply.packet()), "") << i;
  }
}

TEST(EchoReply, of_nothing_but_zeros_has_a_right_checksum) {
  WirePacket reply =
      echoed(echo_request("198.51.100.7", "203.0.113.10", 0).seq(0).payload(std::string(56, '\0')).build());
  EXPECT_EQ(checksum_fault(reply.packet()), "");
}

TEST(EchoReply, of_a_large_ping_with_ip_options_is_whole) {
  WirePacket reply =
      echoed(echo_request("198.51.100.7", "203.0.113.10", 7).ip_options({1, 1, 1, 1}).payload_of(65000).build());
  EXPECT_EQ(checksum_fault(reply.packet()), "");
  EXPECT_EQ(reply.bytes().size(), 65032U);
}

}  // namespace
}  // namespace vipgate::test
