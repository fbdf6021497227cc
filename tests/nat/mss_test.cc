#include "nat/mss.h"

#include <gtest/gtest.h>

#include <optional>

#include "support/packet_builder.h"
#include "support/parse_packet.h"

namespace vipgate::test {
namespace {

PacketBuilder syn() {
  return tcp("198.51.100.7:40000", "203.0.113.10:80").syn();
}

/// What the SYN offers after it went through.
std::optional<std::uint16_t> offered_after(const PacketBuilder& builder, std::uint16_t limit, std::uint16_t margin) {
  WirePacket wire = builder.build();
  Packet packet = wire.packet();
  lower_mss(packet, *parse_packet(packet), limit, margin);
  EXPECT_EQ(checksum_fault(packet), "");
  const auto view = parse_packet(packet);
  const auto at = view->tcp.mss_offset();
  if (!at) return std::nullopt;
  return load16(packet.bytes.data() + view->ip.header_length() + *at);
}

TEST(Mss, Rfc9293_larger_offers_are_lowered_and_smaller_ones_kept) {
  EXPECT_EQ(offered_after(syn().mss(1460), 1360, 0), 1360);
  EXPECT_EQ(offered_after(syn().mss(1360), 1360, 0), 1360);
  EXPECT_EQ(offered_after(syn().mss(1000), 1360, 0), 1000);
}

TEST(Mss, a_margin_is_left_for_growth) {
  EXPECT_EQ(offered_after(syn().mss(1460), 65535, 64), 1396);
  EXPECT_EQ(offered_after(syn().mss(1460), 1390, 64), 1390);
  EXPECT_EQ(offered_after(syn().mss(560), 65535, 64), 536) << "every TCP has to take so much";
  EXPECT_EQ(offered_after(syn().mss(500), 65535, 64), 500);
}

TEST(Mss, checksums_of_every_kind_stay_right) {
  for (const std::uint16_t mss : std::initializer_list<std::uint16_t>{537, 1460, 8960, 65535}) {
    EXPECT_EQ(offered_after(syn().mss(mss).partial_checksum(), 536, 0), 536);
    EXPECT_EQ(offered_after(syn().mss(mss).verified(), 536, 0), 536);
    // At an odd offset the option's bytes belong to two words of the sum.
    const auto high = static_cast<std::uint8_t>(mss >> 8);
    const auto low = static_cast<std::uint8_t>(mss);
    EXPECT_EQ(offered_after(syn().tcp_option_bytes({1, 2, 4, high, low, 0, 0, 0}), 536, 0), 536);
  }
}

TEST(Mss, Fault16_a_syn_without_the_option_or_with_a_broken_one_stays_as_it_is) {
  for (const auto& builder : {syn(), syn().tcp_option_bytes({2, 3, 5, 0}), syn().tcp_option_bytes({2, 4, 5, 0}),
                              syn().tcp_option_bytes({2, 40, 5, 180})}) {
    WirePacket before = builder.build();
    WirePacket after = before;
    Packet packet = after.packet();
    lower_mss(packet, *parse_packet(packet), 536, 64);
    if (before.bytes()[21 + 20] != 4) {
      EXPECT_TRUE(std::equal(before.bytes().begin(), before.bytes().end(), after.bytes().begin()));
    }
  }
}

}  // namespace
}  // namespace vipgate::test
