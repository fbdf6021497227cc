#include "wire/icmp.h"

#include <gtest/gtest.h>

#include <set>

#include "support/packet_builder.h"

namespace vipgate::test {
namespace {

std::span<const std::uint8_t> message_of(const WirePacket& packet) {
  return packet.bytes().subspan(20);
}

TEST(Icmp, echo_has_id_sequence_and_data) {
  const WirePacket packet = echo_request("198.51.100.7", "203.0.113.10", 0xbeef).seq(0x1234).payload("data").build();
  const auto view = IcmpView::parse(message_of(packet));
  ASSERT_TRUE(view);
  EXPECT_EQ(view->type(), icmp::kEchoRequest);
  EXPECT_EQ(view->code(), 0);
  EXPECT_EQ(view->id(), 0xbeef);
  EXPECT_EQ(view->sequence(), 0x1234);
  EXPECT_EQ(view->payload().size(), 4U);
  EXPECT_EQ(view->bytes().size(), 12U);
  EXPECT_EQ(naive_sum(view->bytes()), 0xffff);
}

TEST(Icmp, Rfc1191_next_hop_mtu_is_the_last_half_word) {
  const WirePacket about = tcp("203.0.113.10:80", "198.51.100.7:40000").payload_of(1460).build();
  const WirePacket packet = icmp_error("192.0.2.1", "203.0.113.10", 3, 4).mtu(1400).quoting(about, 28).build();
  const auto view = IcmpView::parse(message_of(packet));
  ASSERT_TRUE(view);
  EXPECT_EQ(view->type(), icmp::kUnreachable);
  EXPECT_EQ(view->code(), icmp::kFragmentationNeeded);
  EXPECT_EQ(view->next_hop_mtu(), 1400);
  EXPECT_EQ(view->payload().size(), 28U);
  EXPECT_EQ(view->payload()[0], 0x45);
}

TEST(Icmp, queries_and_errors_are_told_by_type) {
  const std::set<int> queries = {0, 8};
  const std::set<int> errors = {3, 11, 12};  // source quench and redirect are obsolete or not ours
  for (int type = 0; type < 256; ++type) {
    const auto message = echo_request("198.51.100.7", "203.0.113.10", 1).type(static_cast<std::uint8_t>(type)).build();
    const auto view = IcmpView::parse(message_of(message));
    ASSERT_TRUE(view);
    EXPECT_EQ(view->is_query(), queries.contains(type)) << type;
    EXPECT_EQ(view->is_error(), errors.contains(type)) << type;
  }
}

TEST(Icmp, shorter_than_eight_bytes_is_truncated) {
  const WirePacket packet = echo_request("198.51.100.7", "203.0.113.10", 1).build();
  for (std::size_t size = 0; size < 8; ++size) {
    EXPECT_EQ(IcmpView::parse(message_of(packet).first(size)).reason(), Reason::icmp_truncated) << size;
  }
  EXPECT_TRUE(IcmpView::parse(message_of(packet).first(8)));
}

}  // namespace
}  // namespace vipgate::test
