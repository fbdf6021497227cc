#include "flow/reassembly.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "support/fragments.h"

namespace vipgate::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Time kStart{seconds(1000)};

PacketBuilder datagram(std::size_t size, std::uint16_t id = 1, const std::string& source = "198.51.100.7") {
  return udp(source + ":40000", "203.0.113.10:53").payload_of(size).fragment(0, false).ip_id(id);
}

Reassembly::Result add(Reassembly& reassembly, const WirePacket& fragment, Time now = kStart) {
  return reassembly.add(*Ipv4View::parse(fragment.bytes()), now);
}

/// Adds all; whether the last of them completed the datagram `whole`, and none before it.
void expect_whole(Reassembly& reassembly, const std::vector<WirePacket>& fragments, const WirePacket& whole) {
  for (const WirePacket& fragment : fragments) {
    const auto result = add(reassembly, fragment);
    ASSERT_EQ(result.reason, Reason::none);
    ASSERT_EQ(result.whole.has_value(), &fragment == &fragments.back());
    if (result.whole) {
      EXPECT_TRUE(std::ranges::equal(result.whole->bytes, whole.bytes()));
      std::fill_n(result.whole->bytes.data() + result.whole->bytes.size(), kSpareRoom, std::uint8_t{0});  // is there
    }
  }
  EXPECT_EQ(reassembly.datagrams(), 0U);
  EXPECT_EQ(reassembly.bytes(), 0U);
  reassembly.release();
}

TEST(Reassembly, Rfc4787Req14_in_order_backwards_and_shuffled) {
  std::mt19937 random(1);
  for (const std::size_t length : {9U, 100U, 1473U, 8000U, 65507U}) {
    const WirePacket whole = datagram(length).build();
    for (const std::size_t size : {576U, 1500U}) {
      if (whole.bytes().size() <= size) continue;
      Reassembly reassembly;
      auto fragments = fragments_of(whole, size);
      expect_whole(reassembly, fragments, whole);
      std::reverse(fragments.begin(), fragments.end());
      expect_whole(reassembly, fragments, whole);
      for (int round = 0; round < 20; ++round) {
        std::shuffle(fragments.begin(), fragments.end(), random);
        expect_whole(reassembly, fragments, whole);
      }
    }
  }
}

TEST(Reassembly, remembers_the_largest_fragment) {
  Reassembly reassembly;
  std::optional<Packet> whole;
  for (const WirePacket& fragment : fragments_of(datagram(3000).build(), 1028)) whole = add(reassembly, fragment).whole;
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->fragment_size, 1028);
}

TEST(Reassembly, duplicates_are_ignored) {
  Reassembly reassembly;
  const WirePacket whole = datagram(4000).build();
  const auto fragments = fragments_of(whole, 1500);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(add(reassembly, fragments[2]).reason, Reason::none);
    EXPECT_EQ(add(reassembly, fragments[0]).reason, Reason::none);
  }
  const auto result = add(reassembly, fragments[1]);
  ASSERT_TRUE(result.whole);
  EXPECT_TRUE(std::ranges::equal(result.whole->bytes, whole.bytes()));
}

TEST(Reassembly, interleaved_datagrams_keep_apart) {
  Reassembly reassembly;
  std::vector<WirePacket> wholes;
  std::vector<std::vector<WirePacket>> fragments;
  for (std::uint16_t i = 0; i < 60; ++i) {
    // They differ in one part of their key each: identification, source.
    wholes.push_back(datagram(2000 + i, i % 15, "198.51.100." + std::to_string(1 + i / 15)).build());
    fragments.push_back(fragments_of(wholes.back(), 576));
  }
  std::size_t completed = 0;
  for (std::size_t n = 0; n < fragments[0].size(); ++n) {
    for (std::size_t i = 0; i < wholes.size(); ++i) {
      const auto result = add(reassembly, fragments[i][n]);
      ASSERT_EQ(result.reason, Reason::none);
      if (!result.whole) continue;
      ++completed;
      EXPECT_TRUE(std::ranges::equal(result.whole->bytes, wholes[i].bytes()));
    }
  }
  EXPECT_EQ(completed, wholes.size());
}

TEST(Reassembly, Rfc5722_Fault12_overlaps_discard_the_datagram_and_its_memory) {
  const auto part = [](std::size_t offset, std::size_t size, bool more) {
    return udp("198.51.100.7:1", "203.0.113.10:2").payload_of(size - 8).fragment(offset, more).build();
  };
  const struct {
    std::size_t offset, size;
    bool more;
  } intruders[] = {{0, 24, true}, {0, 40, true}, {8, 16, true}, {24, 32, true}, {16, 24, true}, {24, 16, false}};
  for (const auto& [offset, size, more] : intruders) {
    Reassembly reassembly;
    ASSERT_EQ(add(reassembly, part(0, 32, true)).reason, Reason::none);
    EXPECT_EQ(add(reassembly, part(offset, size, more)).reason, Reason::fragment_overlap) << offset;
    EXPECT_EQ(reassembly.bytes(), 0U);
    EXPECT_EQ(add(reassembly, part(32, 32, false)).reason, Reason::fragment_overlap) << "what comes later goes too";
    EXPECT_FALSE(add(reassembly, part(0, 32, true)).whole);
  }
}

TEST(Reassembly, Cve2012_4444_an_overlap_never_changes_what_was_there) {
  Reassembly reassembly;
  const WirePacket whole = datagram(2000).build();
  const auto fragments = fragments_of(whole, 1500);
  ASSERT_EQ(add(reassembly, fragments[0]).reason, Reason::none);
  WirePacket evil = fragments_of(datagram(2000).payload(std::string(2000, 'x')).build(), 800)[1];
  EXPECT_EQ(add(reassembly, evil).reason, Reason::fragment_overlap);
  EXPECT_FALSE(add(reassembly, fragments[1]).whole);
}

TEST(Reassembly, Fault12_two_ends_contradict_each_other) {
  const auto fragments = fragments_of(datagram(3000).build(), 1000);
  const auto shorter = fragments_of(datagram(1500).build(), 1000);
  Reassembly first;
  add(first, fragments.back());
  EXPECT_EQ(add(first, shorter.back()).reason, Reason::fragment_overlap);
  Reassembly second;
  add(second, shorter.back());
  EXPECT_EQ(add(second, fragments[2]).reason, Reason::fragment_overlap) << "data behind the end";
  Reassembly third;
  add(third, fragments[2]);
  EXPECT_EQ(add(third, shorter.back()).reason, Reason::fragment_overlap) << "an end before the data";
}

WirePacket piece_of(std::size_t offset, std::size_t payload, bool more, std::size_t options = 0) {
  PacketBuilder builder = udp("198.51.100.7:1", "203.0.113.10:2").payload_of(payload - 8).fragment(offset, more);
  if (options == 40)
    builder = builder.ip_options({7, 39, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                  0, 0,  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  return builder.build();
}

TEST(Reassembly, Fault12_beyond_65535_the_datagram_is_discarded) {
  Reassembly reassembly;
  ASSERT_EQ(add(reassembly, piece_of(0, 1480, true)).reason, Reason::none);
  EXPECT_EQ(add(reassembly, piece_of(65528, 16, false)).reason, Reason::fragment_too_long);
  EXPECT_EQ(reassembly.bytes(), 0U);
  EXPECT_EQ(add(reassembly, piece_of(1480, 1480, false)).reason, Reason::fragment_too_long) << "a later piece";

  Reassembly reversed;
  EXPECT_EQ(add(reversed, piece_of(65528, 16, false)).reason, Reason::fragment_too_long);
  EXPECT_EQ(add(reversed, piece_of(0, 1480, true)).reason, Reason::fragment_too_long);
  EXPECT_EQ(reversed.bytes(), 0U);
}

// Options that are not copied make the first fragment's header the longest, and it becomes that of the whole.
TEST(Reassembly, Fault12_the_whole_with_its_own_header_is_no_longer_than_65535) {
  for (const bool first_comes_last : {false, true}) {
    for (const std::size_t too_much : {0U, 1U}) {
      const std::size_t end = kMaxPacketSize - 60 + too_much;
      std::vector<WirePacket> fragments = {piece_of(0, 32000, true, 40), piece_of(32000, 32000, true),
                                           piece_of(64000, end - 64000, false)};
      if (first_comes_last) std::reverse(fragments.begin(), fragments.end());
      Reassembly reassembly;
      add(reassembly, fragments[0]);
      add(reassembly, fragments[1]);
      const auto result = add(reassembly, fragments[2]);
      EXPECT_EQ(result.reason, too_much == 0 ? Reason::none : Reason::fragment_too_long);
      ASSERT_EQ(result.whole.has_value(), too_much == 0);
      if (too_much != 0) continue;
      EXPECT_EQ(result.whole->bytes.size(), kMaxPacketSize);
      EXPECT_EQ(naive_sum(result.whole->bytes.first(60)), 0xffff);
      EXPECT_EQ(Ipv4View::parse(result.whole->bytes)->header_length(), 60U);
    }
  }
}

TEST(Reassembly, Rfc1858_Rfc3128_the_transport_header_is_not_parted) {
  Reassembly reassembly;
  const auto segment = tcp("198.51.100.7:1", "203.0.113.10:2").syn();
  const auto first = [&](const PacketBuilder& builder, std::uint8_t total) {
    return add(reassembly, builder.fragment(0, true).byte(3, total).build()).reason;
  };
  EXPECT_EQ(first(segment, 20 + 16), Reason::fragment_tiny);
  EXPECT_EQ(first(segment.payload_of(4), 20 + 24), Reason::none);
  EXPECT_EQ(first(udp("198.51.100.8:1", "203.0.113.10:2"), 20 + 8), Reason::none);
  EXPECT_EQ(add(reassembly, segment.fragment(8, true).payload_of(4).build()).reason, Reason::fragment_tiny);
  EXPECT_EQ(add(reassembly, segment.fragment(8, false).payload_of(4).build()).reason, Reason::fragment_tiny);
}

TEST(Reassembly, Rfc791_only_the_last_may_have_another_length_and_none_is_empty) {
  Reassembly reassembly;
  const auto odd = udp("198.51.100.7:1", "203.0.113.10:2").payload_of(13);
  EXPECT_EQ(add(reassembly, odd.fragment(0, true).build()).reason, Reason::fragment_length);
  EXPECT_EQ(add(reassembly, odd.fragment(80, true).build()).reason, Reason::fragment_length);
  EXPECT_EQ(add(reassembly, odd.fragment(80, false).build()).reason, Reason::none);
  EXPECT_EQ(add(reassembly, odd.fragment(160, true).byte(3, 20).build()).reason, Reason::fragment_length);
}

TEST(Reassembly, Rfc3168_congestion_is_kept_and_contradictions_are_not) {
  const auto tos_after = [](std::uint8_t first, std::uint8_t second) -> std::optional<int> {
    Reassembly reassembly;
    auto fragments = fragments_of(datagram(2000).tos(first).build(), 1500);
    fragments[1] = fragments_of(datagram(2000).tos(second).build(), 1500)[1];
    add(reassembly, fragments[0]);
    const auto result = add(reassembly, fragments[1]);
    if (!result.whole) return std::nullopt;
    EXPECT_EQ(checksum_fault(*result.whole), "");
    return result.whole->bytes[1];
  };
  EXPECT_EQ(tos_after(0xb8, 0xb8), 0xb8);
  EXPECT_EQ(tos_after(2, 3), 3);
  EXPECT_EQ(tos_after(3, 1), 3);
  EXPECT_EQ(tos_after(1, 2), 1);
  EXPECT_EQ(tos_after(0, 3), std::nullopt);
  EXPECT_EQ(tos_after(3, 0), std::nullopt);
  EXPECT_EQ(tos_after(2, 0), std::nullopt);
  EXPECT_EQ(tos_after(0, 1), std::nullopt);
}

TEST(Reassembly, gives_up_30_seconds_after_the_first_that_came) {
  Reassembly reassembly;
  const auto fragments = fragments_of(datagram(4000).build(), 1000);
  add(reassembly, fragments[0], kStart);
  add(reassembly, fragments[1], kStart + seconds(29));
  EXPECT_EQ(reassembly.next_expiry(), kStart + seconds(30));
  std::vector<std::uint8_t> first;
  const auto remember = [&](const Ipv4View& ip) {
    first.assign(ip.header().data(), ip.header().data() + ip.total_length());
  };
  EXPECT_EQ(reassembly.expire(kStart + seconds(30) - milliseconds(1), remember), 0U);
  EXPECT_EQ(reassembly.expire(kStart + seconds(30), remember), 1U);
  EXPECT_TRUE(std::ranges::equal(first, fragments[0].bytes()));
  EXPECT_EQ(reassembly.bytes(), 0U);
  EXPECT_EQ(reassembly.next_expiry(), Time::max());
  add(reassembly, fragments[1]);
  first.clear();
  EXPECT_EQ(reassembly.expire(kStart + seconds(31), remember), 1U);
  EXPECT_TRUE(first.empty()) << "RFC 1122, section 3.3.2: fragment zero never came";
}

TEST(Reassembly, Fault13_a_flood_of_one_source_leaves_room_for_others) {
  Reassembly reassembly;
  const WirePacket good = datagram(60000, 7, "192.0.2.1").build();
  const auto pieces = fragments_of(good, 1500);
  std::uint16_t id = 0;
  for (const WirePacket& piece : pieces) {
    for (int i = 0; i < 200; ++i) add(reassembly, fragments_of(datagram(3000, ++id).build(), 1500)[0]);
    const auto result = add(reassembly, piece);
    ASSERT_EQ(result.reason, Reason::none);
    EXPECT_EQ(result.whole.has_value(), &piece == &pieces.back());
    ASSERT_LE(reassembly.datagrams(), Reassembly::kMaxDatagramsOfSource + 1);
    ASSERT_LE(reassembly.bytes(), Reassembly::kMaxBytes);
  }
}

TEST(Reassembly, Fault13_a_flood_of_many_sources_is_bounded_and_ends) {
  Reassembly reassembly;
  std::mt19937 random(2);
  for (int i = 0; i < 20000; ++i) {
    const std::string source = "198.51." + std::to_string(random() % 256) + "." + std::to_string(random() % 256);
    add(reassembly,
        fragments_of(datagram(20000, static_cast<std::uint16_t>(random()), source).build(), 9000)[random() % 2]);
    ASSERT_LE(reassembly.datagrams(), Reassembly::kMaxDatagrams);
    ASSERT_LE(reassembly.bytes(), Reassembly::kMaxBytes);
  }
  reassembly.expire(kStart + seconds(30), [](const Ipv4View&) {});
  EXPECT_EQ(reassembly.datagrams(), 0U);
  EXPECT_EQ(reassembly.bytes(), 0U);
}

TEST(Reassembly, Fault13_a_large_datagram_survives_a_flood_of_several_sources) {
  // Large fragments fill the memory, small ones the places.
  for (const std::size_t size : {9000U, 100U}) {
    Reassembly reassembly;
    const WirePacket good = datagram(60000, 7, "192.0.2.1").build();
    const auto pieces = fragments_of(good, 1500);
    std::mt19937 random(5);
    for (const WirePacket& piece : pieces) {
      for (int i = 0; i < 100; ++i) {
        const std::string source = "198.51.100." + std::to_string(random() % 10);
        const auto id = static_cast<std::uint16_t>(random());
        ASSERT_EQ(add(reassembly, fragments_of(datagram(20000, id, source).build(), size)[random() % 2]).reason,
                  Reason::none);
      }
      const auto result = add(reassembly, piece);
      ASSERT_EQ(result.reason, Reason::none);
      ASSERT_EQ(result.whole.has_value(), &piece == &pieces.back());
      ASSERT_LE(reassembly.datagrams(), Reassembly::kMaxDatagrams);
      ASSERT_LE(reassembly.bytes(), Reassembly::kMaxBytes);
    }
  }
}

TEST(Reassembly, Fault13_the_oldest_of_a_source_gives_way_to_its_next) {
  Reassembly reassembly;
  const auto fragments = [](std::uint16_t id) { return fragments_of(datagram(2000, id).build(), 1500); };
  for (std::uint16_t id = 0; id <= Reassembly::kMaxDatagramsOfSource; ++id) add(reassembly, fragments(id)[0]);
  EXPECT_EQ(reassembly.datagrams(), Reassembly::kMaxDatagramsOfSource);
  EXPECT_FALSE(add(reassembly, fragments(0)[1]).whole) << "gave way, and now the next oldest does";
  EXPECT_FALSE(add(reassembly, fragments(1)[1]).whole);
  for (std::uint16_t id = 3; id <= Reassembly::kMaxDatagramsOfSource; ++id) {
    EXPECT_TRUE(add(reassembly, fragments(id)[1]).whole) << id;
  }
}

TEST(Reassembly, Fault13_a_source_has_its_share_of_memory) {
  Reassembly reassembly;
  std::size_t most = 0;
  for (std::uint16_t id = 0; id < 12; ++id) {
    for (const WirePacket& fragment : fragments_of(datagram(60000, id).build(), 1500)) {
      if (Ipv4View::parse(fragment.bytes())->more_fragments()) add(reassembly, fragment);
      most = std::max(most, reassembly.bytes());
    }
  }
  EXPECT_LE(most, Reassembly::kMaxBytesOfSource);
  EXPECT_GT(most, Reassembly::kMaxBytesOfSource - 2000);
}

TEST(Reassembly, Fault13_two_of_the_largest_datagrams_of_a_source_interleave) {
  Reassembly reassembly;
  const WirePacket wholes[] = {datagram(65507, 1).build(), datagram(65507, 2).build()};
  const std::vector<WirePacket> fragments[] = {fragments_of(wholes[0], 576), fragments_of(wholes[1], 576)};
  for (std::size_t i = 0; i < fragments[0].size(); ++i) {
    for (const std::size_t which : {0U, 1U}) {
      const auto result = add(reassembly, fragments[which][i]);
      ASSERT_EQ(result.whole.has_value(), i + 1 == fragments[which].size());
      if (!result.whole) continue;
      EXPECT_TRUE(std::ranges::equal(result.whole->bytes, wholes[which].bytes()));
    }
  }
}

TEST(Reassembly, Fault12_what_was_discarded_takes_nothing_from_the_share_of_its_source) {
  Reassembly reassembly;
  for (std::uint16_t id = 0; id < 10; ++id) {
    const auto fragments = fragments_of(datagram(60000, id).build(), 1500);
    for (std::size_t i = 0; i + 1 < fragments.size(); ++i) {
      ASSERT_EQ(add(reassembly, fragments[i]).reason, Reason::none);
    }
    add(reassembly, fragments_of(datagram(60000, id).build(), 1000)[1]);
    EXPECT_EQ(reassembly.bytes(), 0U);
    EXPECT_EQ(reassembly.datagrams(), id + 1U);
  }
  const WirePacket whole = datagram(65507, 100).build();
  std::optional<Packet> last;
  for (const WirePacket& fragment : fragments_of(whole, 576)) last = add(reassembly, fragment).whole;
  ASSERT_TRUE(last);
  EXPECT_TRUE(std::ranges::equal(last->bytes, whole.bytes()));
  EXPECT_EQ(reassembly.datagrams(), 10U) << "nothing had to give way";
}

TEST(Reassembly, all_shards_together_stay_within_16_MiB) {
  constexpr std::size_t kRecords = std::size_t{12} * 1024;
  EXPECT_LE(64 * (Reassembly::kMaxBytes + kRecords), std::size_t{16} << 20);
}

TEST(Reassembly, datagrams_handed_out_keep_their_bytes_until_they_are_released) {
  Reassembly reassembly;
  std::vector<WirePacket> wholes;
  std::vector<Packet> out;
  for (std::uint16_t id = 0; id < 40; ++id) {
    wholes.push_back(datagram(2000 + 100 * std::size_t{id}, id).build());
    for (const WirePacket& fragment : fragments_of(wholes.back(), 1500)) {
      if (const auto result = add(reassembly, fragment); result.whole) out.push_back(*result.whole);
    }
  }
  ASSERT_EQ(out.size(), wholes.size());
  for (std::size_t i = 0; i < out.size(); ++i) EXPECT_TRUE(std::ranges::equal(out[i].bytes, wholes[i].bytes()));
  reassembly.release();
}

TEST(Reassembly, expiry_counts_each_once_and_none_that_was_discarded) {
  Reassembly reassembly;
  const auto nobody = [](const Ipv4View&) { FAIL() << "the first fragment never came, or was discarded"; };
  add(reassembly, fragments_of(datagram(3000, 1).build(), 1500)[1]);
  add(reassembly, fragments_of(datagram(3000, 2).build(), 1500)[0], kStart + seconds(1));
  add(reassembly, fragments_of(datagram(3000, 2).build(), 1000)[1], kStart + seconds(1));  // overlaps
  EXPECT_EQ(reassembly.expire(kStart + seconds(30), nobody), 1U);
  EXPECT_EQ(reassembly.next_expiry(), kStart + seconds(31));
  EXPECT_EQ(add(reassembly, fragments_of(datagram(3000, 2).build(), 1500)[1], kStart + seconds(30)).reason,
            Reason::fragment_overlap);
  EXPECT_EQ(reassembly.expire(kStart + seconds(31), nobody), 0U);
  EXPECT_EQ(reassembly.datagrams(), 0U);
  EXPECT_EQ(add(reassembly, fragments_of(datagram(3000, 2).build(), 1500)[1], kStart + seconds(31)).reason,
            Reason::none);
}

TEST(Reassembly, Cve2018_5391_pieces_of_a_datagram_are_bounded) {
  Reassembly reassembly;
  const auto fragments = fragments_of(datagram(8 * 300).build(), 28);
  std::size_t held = 0;
  for (std::size_t i = 0; i < fragments.size(); i += 2) {
    held += add(reassembly, fragments[i]).reason == Reason::none ? 1 : 0;
  }
  EXPECT_EQ(held, Reassembly::kMaxPieces);
  EXPECT_EQ(reassembly.bytes(), 0U);
  EXPECT_EQ(add(reassembly, fragments[1]).reason, Reason::fragment_limit);
}

TEST(Reassembly, one_source_may_have_the_largest_datagram_in_small_pieces) {
  Reassembly reassembly;
  const WirePacket whole = datagram(65507).build();
  expect_whole(reassembly, fragments_of(whole, 576), whole);
}

}  // namespace
}  // namespace vipgate::test
