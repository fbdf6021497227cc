#include "wire/checksum.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "support/exact_copy.h"
#include "support/packet_builder.h"
#include "wire/bytes.h"

namespace vipgate::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

/// 0x0000 and 0xffff are the same number in one's complement.
std::uint16_t as_number(std::uint16_t sum) {
  return sum == 0xffff ? 0 : sum;
}

Bytes random_bytes(std::mt19937& random, std::size_t size) {
  Bytes bytes(size);
  // Runs of 0x00 and 0xff meet the carries that uniform bytes seldom do.
  const auto kind = random() % 4;
  for (auto& byte : bytes) byte = kind == 0 ? 0xff : kind == 1 ? 0 : static_cast<std::uint8_t>(random());
  return bytes;
}

TEST(Checksum, Rfc1071_example) {
  const Bytes bytes = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};  // §3
  EXPECT_EQ(checksum_sum(bytes), 0xddf2);
}

TEST(Checksum, sums_as_a_naive_loop_at_every_length_and_alignment) {
  std::mt19937 random(1);
  for (std::size_t size = 0; size < 300; ++size) {
    for (std::size_t shift = 0; shift < 8; ++shift) {
      const Bytes bytes = random_bytes(random, shift + size);
      const auto data = std::span(bytes).subspan(shift);
      ASSERT_EQ(as_number(checksum_sum(data)), as_number(naive_sum(data))) << size << " bytes at +" << shift;
    }
  }
}

TEST(Checksum, sums_as_a_naive_loop_over_super_packets) {
  std::mt19937 random(2);
  for (int i = 0; i < 40; ++i) {
    const Bytes bytes = random_bytes(random, 60000 + random() % 5536);
    ASSERT_EQ(as_number(checksum_sum(bytes)), as_number(naive_sum(bytes)));
  }
  EXPECT_EQ(checksum_sum(Bytes(65535, 0xff)), 0xff00);  // the odd byte counts as 0xff00
  EXPECT_EQ(checksum_sum(Bytes(65534, 0xff)), 0xffff);
}

TEST(Checksum, is_zero_for_zeros_and_nothing_else) {
  EXPECT_EQ(checksum_sum({}), 0);
  EXPECT_EQ(checksum_sum(Bytes(64, 0)), 0);
  EXPECT_EQ(checksum_sum(Bytes{0x12, 0x34, 0xed, 0xcb}),
            0xffff);  // a sum of words that are not all zero never folds to 0
}

TEST(Checksum, goes_on_from_an_initial_sum) {
  std::mt19937 random(3);
  for (int i = 0; i < 20000; ++i) {
    const Bytes bytes = random_bytes(random, random() % 100);
    const std::size_t cut = bytes.empty() ? 0 : random() % bytes.size() / 2 * 2;  // even: words stay words
    const auto all = std::span(bytes);
    ASSERT_EQ(as_number(checksum_sum(all.subspan(cut), checksum_sum(all.first(cut)))), as_number(naive_sum(all)));
  }
}

TEST(Checksum, reads_no_byte_behind_its_input) {
  for (std::size_t size = 0; size < 70; ++size) {
    const ExactCopy zeros(Bytes(size, 0));
    EXPECT_EQ(checksum_sum(zeros.bytes()), 0);
  }
}

TEST(Checksum, pseudo_header_is_the_sum_of_its_twelve_bytes) {
  std::mt19937 random(4);
  for (int i = 0; i < 20000; ++i) {
    Bytes bytes = random_bytes(random, 12);
    const auto protocol = random() % 2 == 0 ? Protocol::tcp : Protocol::udp;
    bytes[8] = 0;
    bytes[9] = static_cast<std::uint8_t>(protocol);
    const std::uint16_t sum = pseudo_header_sum(load_address(bytes.data()), load_address(bytes.data() + 4), protocol,
                                                load16(bytes.data() + 10));
    ASSERT_EQ(as_number(sum), as_number(naive_sum(bytes)));
  }
}

TEST(Checksum, pseudo_header_takes_lengths_of_32_bits) {
  const auto sum = pseudo_header_sum(Ipv4Address(0), Ipv4Address(0), Protocol::tcp, 0x00020003);
  EXPECT_EQ(sum, 6 + 2 + 3);
}

TEST(ChecksumAdd, is_commutative_and_carries_around) {
  EXPECT_EQ(checksum_add(0xffff, 1), 1);
  EXPECT_EQ(checksum_add(0xffff, 0xffff), 0xffff);
  EXPECT_EQ(checksum_add(0, 0), 0);
  EXPECT_EQ(checksum_add(0x8000, 0x8000), 1);
  EXPECT_EQ(checksum_add(0x1234, 0x4321), checksum_add(0x4321, 0x1234));
}

/// Sixteen random words, their finished checksum in the first. The second is never zero, as in every header with a
/// pseudo-header or a version: of nothing but zeros an incremental update cannot tell 0x0000 from 0xffff.
Bytes with_checksum(std::mt19937& random) {
  Bytes bytes = random_bytes(random, 32);
  bytes[2] = 0x45;
  store16(bytes.data(), 0);
  store16(bytes.data(), static_cast<std::uint16_t>(~naive_sum(bytes)));
  return bytes;
}

TEST(ChecksumChange, Rfc1624_equation_3_agrees_with_recomputation) {
  std::mt19937 random(5);
  for (int i = 0; i < 200000; ++i) {
    Bytes bytes = with_checksum(random);
    const std::size_t at = 4 + 2 * (random() % 13);
    ChecksumChange change;
    if (random() % 2 == 0) {
      const auto after = static_cast<std::uint16_t>(random() % 8 == 0 ? 0xffff * (random() % 2) : random());
      change.replace16(load16(&bytes[at]), after);
      store16(&bytes[at], after);
    } else {
      const auto after = static_cast<std::uint32_t>(random());
      change.replace32(load32(&bytes[at]), after);
      store32(&bytes[at], after);
    }
    store16(bytes.data(), change.apply(load16(bytes.data())));
    ASSERT_EQ(naive_sum(bytes), 0xffff) << "round " << i;
  }
}

TEST(ChecksumChange, Rfc1624_example_of_section_4) {
  ChecksumChange change;  // equation 2 of RFC 1141 gives 0xffff here
  change.replace16(0x5555, 0x3285);
  EXPECT_EQ(change.apply(0xdd2f), 0x0000);
}

TEST(ChecksumChange, Rfc1624_corners_0x0000_and_0xffff_are_right_whatever_changes) {
  for (std::uint32_t word = 0; word <= 0xffff; word += 0x11) {
    for (const std::uint16_t after :
         {std::uint16_t{0}, std::uint16_t{0xffff}, std::uint16_t{1}, std::uint16_t{0xfffe}}) {
      // A header of two words and the checksum, so that sums of 0xffff (checksum 0x0000) come up.
      Bytes bytes = {0, 0, static_cast<std::uint8_t>(word >> 8), static_cast<std::uint8_t>(word), 0x45, 0};
      store16(bytes.data(), static_cast<std::uint16_t>(~naive_sum(bytes)));
      ChecksumChange change;
      change.replace16(load16(&bytes[2]), after);
      store16(&bytes[2], after);
      store16(bytes.data(), change.apply(load16(bytes.data())));
      ASSERT_EQ(naive_sum(bytes), 0xffff) << word << " to " << after;
      ASSERT_NE(load16(bytes.data()), 0xffff) << "a header that is not all zeros never has the checksum 0xffff";
    }
  }
}

TEST(ChecksumChange, gathers_several_changes) {
  std::mt19937 random(6);
  for (int i = 0; i < 20000; ++i) {
    Bytes bytes = with_checksum(random);
    ChecksumChange change;
    for (std::size_t at = 4; at < bytes.size(); at += 2) {
      const auto after = static_cast<std::uint16_t>(random());
      change.replace16(load16(&bytes[at]), after);
      store16(&bytes[at], after);
    }
    store16(bytes.data(), change.apply(load16(bytes.data())));
    ASSERT_EQ(naive_sum(bytes), 0xffff);
  }
}

TEST(ChecksumChange, moves_an_uncomplemented_sum_as_well) {
  std::mt19937 random(7);
  for (int i = 0; i < 20000; ++i) {
    Bytes bytes = random_bytes(random, 12);
    const std::uint16_t before = naive_sum(bytes);
    const auto after = static_cast<std::uint32_t>(random());
    ChecksumChange change;
    change.replace32(load32(&bytes[4]), after);
    store32(&bytes[4], after);
    ASSERT_EQ(as_number(change.apply_to_sum(before)), as_number(naive_sum(bytes)));
  }
}

TEST(ChecksumChange, of_nothing_changes_nothing) {
  for (std::uint32_t checksum = 0; checksum <= 0xffff; ++checksum) {
    ASSERT_EQ(ChecksumChange().apply(static_cast<std::uint16_t>(checksum)), checksum);
  }
}

}  // namespace
}  // namespace vipgate::test
