#include "wire/udp.h"

#include <gtest/gtest.h>

#include "support/packet_builder.h"

namespace vipgate::test {
namespace {

const auto kDatagram = udp("198.51.100.7:40000", "203.0.113.10:53").payload("question");

std::span<const std::uint8_t> datagram_of(const WirePacket& packet) {
  return packet.bytes().subspan(20);
}

TEST(Udp, fields_are_where_rfc768_has_them) {
  const WirePacket packet = kDatagram.build();
  const auto view = UdpView::parse(datagram_of(packet));
  ASSERT_TRUE(view);
  EXPECT_EQ(view->source_port(), 40000);
  EXPECT_EQ(view->destination_port(), 53);
  EXPECT_EQ(view->length(), 16);
  EXPECT_EQ(view->payload().size(), 8U);
  EXPECT_EQ(view->payload()[0], 'q');
  EXPECT_EQ(naive_transport_sum(packet.bytes()), 0xffff);
}

TEST(Udp, Rfc768_length_covers_header_and_stays_within_the_packet) {
  const auto reason_with = [](std::uint8_t length) {
    const WirePacket packet = kDatagram.byte(25, length).build();
    return UdpView::parse(datagram_of(packet)).reason();
  };
  EXPECT_EQ(reason_with(16), Reason::none);
  EXPECT_EQ(reason_with(15), Reason::none);
  EXPECT_EQ(reason_with(8), Reason::none);
  EXPECT_EQ(reason_with(7), Reason::udp_length);
  EXPECT_EQ(reason_with(0), Reason::udp_length);
  EXPECT_EQ(reason_with(17), Reason::udp_length);
  EXPECT_EQ(reason_with(255), Reason::udp_length);
}

TEST(Udp, Rfc768_bytes_behind_the_length_are_not_payload) {
  const WirePacket packet = kDatagram.byte(25, 10).build();
  EXPECT_EQ(UdpView::parse(datagram_of(packet))->payload().size(), 2U);
}

TEST(Udp, shorter_than_its_header_is_truncated) {
  const WirePacket packet = kDatagram.build();
  for (std::size_t size = 0; size < 8; ++size) {
    EXPECT_EQ(UdpView::parse(datagram_of(packet).first(size)).reason(), Reason::udp_truncated) << size;
  }
}

TEST(Udp, Rfc768_no_checksum_is_a_field_of_zero) {
  const WirePacket packet = kDatagram.no_checksum().build();
  EXPECT_EQ(UdpView::parse(datagram_of(packet))->checksum(), udp::kNoChecksum);
}

}  // namespace
}  // namespace vipgate::test
