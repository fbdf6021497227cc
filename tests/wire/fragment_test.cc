#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "support/fragments.h"
#include "wire/ipv4.h"

namespace vipgate::test {
namespace {

PacketBuilder datagram(std::size_t size) {
  return udp("198.51.100.7:40000", "203.0.113.10:53").payload_of(size).fragment(0, false);  // DF clear
}

/// Fragments put together the naive way, in order: offsets have to follow each other, lengths and flags to fit.
std::vector<std::uint8_t> joined(const std::vector<WirePacket>& fragments, std::size_t size) {
  std::vector<std::uint8_t> payload;
  for (const WirePacket& fragment : fragments) {
    const auto ip = Ipv4View::parse(fragment.bytes());
    EXPECT_TRUE(ip && ip->checksum_is_right());
    EXPECT_LE(fragment.bytes().size(), size);
    EXPECT_EQ(ip->fragment_offset(), payload.size());
    EXPECT_EQ(ip->more_fragments(), &fragment != &fragments.back());
    payload.insert(payload.end(), ip->payload().begin(), ip->payload().end());
  }
  return payload;
}

TEST(SendAsItCame, Rfc791_cuts_at_multiples_of_eight_and_loses_nothing) {
  for (const std::size_t length : {0U, 1U, 7U, 8U, 100U, 187U, 1472U, 1473U, 4000U, 65507U}) {
    const WirePacket whole = datagram(length).build();
    for (const std::size_t size : {28U, 68U, 119U, 576U, 577U, 1499U, 1500U, 65535U}) {
      const auto payload = Ipv4View::parse(whole.bytes())->payload();
      const auto fragments = fragments_of(whole, size);
      EXPECT_TRUE(std::ranges::equal(joined(fragments, size), payload)) << length << " in " << size;
      const std::size_t room = size - 20;
      const std::size_t each = room / 8 * 8;
      const std::size_t before_the_last = payload.size() <= room ? 0 : payload.size() - room;
      EXPECT_EQ(fragments.size(), 1 + (before_the_last + each - 1) / each) << length << " in " << size;
    }
  }
}

TEST(SendAsItCame, what_came_whole_or_fits_goes_whole) {
  const WirePacket whole = tcp("198.51.100.7:40000", "203.0.113.10:80").payload_of(3000).gso(1448).build();
  for (const std::size_t size : {std::size_t{0}, whole.bytes().size()}) {
    const auto sent = fragments_of(whole, size);
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_TRUE(std::ranges::equal(sent[0].bytes(), whole.bytes()));
    EXPECT_EQ(sent[0].virtio().gso_size, 1448);
  }
}

TEST(SendAsItCame, every_fragment_has_the_header_of_the_whole) {
  const auto sent = fragments_of(datagram(3000).ttl(9).tos(0x2e).ip_id(0xbeef).build(), 1000);
  ASSERT_GE(sent.size(), 4U);
  for (const WirePacket& fragment : sent) {
    const auto ip = Ipv4View::parse(fragment.bytes());
    EXPECT_EQ(ip->ttl(), 9);
    EXPECT_EQ(ip->tos(), 0x2e);
    EXPECT_EQ(ip->id(), 0xbeef);
    EXPECT_FALSE(ip->dont_fragment());
    EXPECT_EQ(ip->source(), address("198.51.100.7"));
  }
}

TEST(SendAsItCame, Rfc4787Req13_fragments_that_must_not_be_cut_smaller_still_say_so) {
  WirePacket whole = udp("198.51.100.7:40000", "203.0.113.10:53").payload_of(3000).build();  // DF
  for (const WirePacket& fragment : fragments_of(whole, 1500)) {
    EXPECT_TRUE(Ipv4View::parse(fragment.bytes())->dont_fragment());
  }
}

TEST(SendAsItCame, Rfc791_only_options_that_ask_for_it_are_copied) {
  // Record route (7), not copied; no-operation; loose source route (131), copied; end.
  const WirePacket whole = datagram(100).ip_options({7, 7, 4, 0, 0, 0, 0, 1, 131, 3, 4, 0}).build();
  const auto sent = fragments_of(whole, 68);
  EXPECT_TRUE(std::ranges::equal(joined(sent, 68), Ipv4View::parse(whole.bytes())->payload()));
  ASSERT_GT(sent.size(), 1U);
  EXPECT_EQ(Ipv4View::parse(sent[0].bytes())->header_length(), 32U);
  const auto later = Ipv4View::parse(sent[1].bytes());
  ASSERT_EQ(later->header_length(), 24U);
  EXPECT_TRUE(std::ranges::equal(later->header().subspan(20), std::vector<std::uint8_t>{131, 3, 4, 0}));
}

TEST(SendAsItCame, broken_options_end_the_walk) {
  for (const std::uint8_t length : std::initializer_list<std::uint8_t>{0, 1, 200}) {
    const auto sent = fragments_of(datagram(100).ip_options({131, length, 1, 1}).build(), 68);
    ASSERT_GT(sent.size(), 1U);
    EXPECT_EQ(Ipv4View::parse(sent[1].bytes())->header_length(), 20U);
  }
}

}  // namespace
}  // namespace vipgate::test
