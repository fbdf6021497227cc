#include "flow/reassembly.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
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

TEST(Reassembly, Fault12_beyond_65535_the_datagram_is_discarded) {
  Reassembly reassembly;
  const auto piece = [](std::size_t offset, std::size_t payload, bool more) {
    return udp("198.51.100.7:1", "203.0.113.10:2").payload_of(payload - 8).fragment(offset, more).build();
  };
  ASSERT_EQ(add(reassembly, piece(0, 1480, true)).reason, Reason::none);
  EXPECT_EQ(add(reassembly, piece(65528, 16, false)).reason, Reason::fragment_too_long);
  EXPECT_EQ(reassembly.bytes(), 0U);
  EXPECT_EQ(add(reassembly, piece(1480, 1480, false)).reason, Reason::fragment_overlap);
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

TEST(Reassembly, Cve2018_5391_pieces_of_a_datagram_are_bounded) {
  Reassembly reassembly;
  const auto fragments = fragments_of(datagram(8 * 300).build(), 28);
  std::size_t held = 0;
  for (std::size_t i = 0; i < fragments.size(); i += 2) {
    held += add(reassembly, fragments[i]).reason == Reason::none ? 1 : 0;
  }
  EXPECT_EQ(held, Reassembly::kMaxPieces);
  EXPECT_EQ(reassembly.bytes(), 0U);
}

TEST(Reassembly, one_source_may_have_the_largest_datagram_in_small_pieces) {
  Reassembly reassembly;
  const WirePacket whole = datagram(65507).build();
  expect_whole(reassembly, fragments_of(whole, 576), whole);
}

// Against a naive model: a map from byte to value, for a datagram that is cut, repeated, lost and overlapped at random.
TEST(Reassembly, random_fragments_give_the_datagram_or_nothing) {
  std::mt19937 random(3);
  int completed = 0;
  for (int round = 0; round < 3000; ++round) {
    Reassembly reassembly;
    const WirePacket whole = datagram(200 + random() % 600).build();
    std::vector<WirePacket> fragments;
    for (int cuts = 0; cuts < 2; ++cuts) {
      const auto more = fragments_of(whole, 60 + 8 * (random() % 20));
      fragments.insert(fragments.end(), more.begin(), more.end());
      if (random() % 2 == 0) break;  // else cut in two ways: overlaps
    }
    for (int i = 0; i < 3; ++i) fragments.push_back(fragments[random() % fragments.size()]);
    std::shuffle(fragments.begin(), fragments.end(), random);
    if (random() % 2 == 0) fragments.pop_back();

    std::map<std::size_t, std::size_t> seen;  // begin to end
    bool spoilt = false;
    for (const WirePacket& fragment : fragments) {
      const auto ip = Ipv4View::parse(fragment.bytes());
      const std::size_t begin = ip->fragment_offset();
      const std::size_t end = begin + ip->payload().size();
      const bool known = seen.contains(begin) && seen[begin] == end;
      for (const auto& [b, e] : seen) spoilt = spoilt || (!known && b < end && begin < e);
      seen.emplace(begin, end);
      const auto result = add(reassembly, fragment);
      ASSERT_EQ(result.reason, spoilt ? Reason::fragment_overlap : Reason::none);
      std::size_t covered = 0;
      for (const auto& [b, e] : seen) covered += e - b;
      const bool complete = !spoilt && covered == whole.bytes().size() - 20;
      ASSERT_EQ(result.whole.has_value(), complete);
      if (!complete) continue;
      ++completed;
      ASSERT_TRUE(std::ranges::equal(result.whole->bytes, whole.bytes()));
      break;
    }
  }
  EXPECT_GT(completed, 500);
}

}  // namespace
}  // namespace vipgate::test
