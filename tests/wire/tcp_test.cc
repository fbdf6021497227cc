#include "wire/tcp.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>

#include "support/exact_copy.h"
#include "support/packet_builder.h"

namespace vipgate::test {
namespace {

const auto kSegment = tcp("198.51.100.7:40000", "203.0.113.10:80");

class Segment {
 public:
  explicit Segment(const PacketBuilder& builder) : copy_(builder.build().bytes().subspan(20)) {}

  std::span<const std::uint8_t> bytes() const { return copy_.bytes(); }
  Parsed<TcpView> view() const { return TcpView::parse(bytes()); }
  TcpOptions options() const { return view()->options(); }

 private:
  ExactCopy copy_;
};

TcpOptions options_of(const PacketBuilder& builder) {
  return Segment(builder).options();
}

bool is_nothing(const TcpOptions& options) {
  return !options.window_scale && !options.sack_permitted && !options.sack_high && !options.timestamp;
}

TEST(Tcp, fields_are_where_rfc9293_has_them) {
  const Segment segment(kSegment.syn().psh().seq(0x01020304).ack(0xfffefdfc).win(0xabcd).mss(1460).payload("hello"));
  const auto view = segment.view();
  ASSERT_TRUE(view);
  EXPECT_EQ(view->source_port(), 40000);
  EXPECT_EQ(view->destination_port(), 80);
  EXPECT_EQ(view->sequence(), 0x01020304U);
  EXPECT_EQ(view->acknowledgement(), 0xfffefdfcU);
  EXPECT_EQ(view->window(), 0xabcd);
  EXPECT_EQ(view->flags(), tcp::kSyn | tcp::kPsh | tcp::kAck);
  EXPECT_TRUE(view->has(tcp::kSyn));
  EXPECT_FALSE(view->has(tcp::kFin));
  EXPECT_EQ(view->header_length(), 24U);
  EXPECT_EQ(view->option_bytes().size(), 4U);
  EXPECT_EQ(view->payload_length(), 5U);
}

TEST(Tcp, data_offset_has_to_lie_between_header_and_end) {
  const auto reason_with = [](std::uint8_t offset_byte) {
    return Segment(kSegment.byte(32, offset_byte)).view().reason();
  };
  EXPECT_EQ(reason_with(0x50), Reason::none);
  EXPECT_EQ(reason_with(0x5f), Reason::none) << "the reserved bits are for others to use";
  EXPECT_EQ(reason_with(0x40), Reason::tcp_data_offset);
  EXPECT_EQ(reason_with(0x00), Reason::tcp_data_offset);
  EXPECT_EQ(reason_with(0x60), Reason::tcp_data_offset);
  EXPECT_EQ(reason_with(0xf0), Reason::tcp_data_offset);
}

TEST(Tcp, shorter_than_its_header_is_truncated) {
  const Segment segment(kSegment);
  for (std::size_t size = 0; size < 20; ++size) {
    EXPECT_EQ(TcpView::parse(segment.bytes().first(size)).reason(), Reason::tcp_truncated) << size;
  }
}

TEST(Tcp, longest_segment_keeps_its_length) {
  EXPECT_EQ(Segment(kSegment.payload_of(65535 - 40)).view()->payload_length(), 65495U);
}

TEST(TcpOptions, all_four_are_read) {
  const TcpOptions options = options_of(kSegment.mss(1460).sack_permitted().timestamp(0x11223344, 5).window_scale(7));
  EXPECT_EQ(options.window_scale, 7);
  EXPECT_TRUE(options.sack_permitted);
  EXPECT_EQ(options.timestamp, 0x11223344U);
  EXPECT_EQ(options.sack_high, std::nullopt);
  EXPECT_TRUE(is_nothing(options_of(kSegment)));
}

TEST(TcpOptions, Rfc7323_window_scale_is_capped_at_14) {
  EXPECT_EQ(options_of(kSegment.window_scale(0)).window_scale, 0);
  EXPECT_EQ(options_of(kSegment.window_scale(14)).window_scale, 14);
  EXPECT_EQ(options_of(kSegment.window_scale(15)).window_scale, 14);
  EXPECT_EQ(options_of(kSegment.window_scale(255)).window_scale, 14);
}

TEST(TcpOptions, unknown_ones_are_stepped_over) {
  const TcpOptions options = options_of(kSegment.tcp_option_bytes({253, 6, 3, 3, 9, 9, 3, 3, 5}));
  EXPECT_EQ(options.window_scale, 5);
}

TEST(TcpOptions, of_the_wrong_size_are_not_believed) {
  EXPECT_TRUE(is_nothing(options_of(kSegment.tcp_option_bytes({3, 2, 1, 1}))));  // window scale without a shift
  EXPECT_TRUE(is_nothing(options_of(kSegment.tcp_option_bytes({3, 4, 7, 7}))));  // with two
  EXPECT_TRUE(is_nothing(options_of(kSegment.tcp_option_bytes({4, 3, 0, 1}))));  // "SACK permitted" with data
  EXPECT_TRUE(is_nothing(options_of(kSegment.tcp_option_bytes({8, 6, 1, 2, 3, 4, 1, 1}))));  // half a timestamp
}

TEST(TcpOptions, walk_ends_at_end_of_list) {
  EXPECT_TRUE(is_nothing(options_of(kSegment.tcp_option_bytes({1, 0, 3, 3, 7, 1, 1, 1}))));
}

TEST(TcpOptions, Fault16_length_0_or_1_ends_the_walk) {
  for (const std::uint8_t length : {std::uint8_t{0}, std::uint8_t{1}}) {
    const TcpOptions options = options_of(kSegment.tcp_option_bytes({3, 3, 2, 99, length, 4, 2, 1}));
    EXPECT_EQ(options.window_scale, 2) << "what stood before counts";
    EXPECT_FALSE(options.sack_permitted) << "what comes behind does not";
  }
}

TEST(TcpOptions, Fault16_cut_off_option_ends_the_walk) {
  EXPECT_TRUE(is_nothing(options_of(kSegment.tcp_option_bytes({1, 1, 3, 3}))));                // no room for the shift
  EXPECT_TRUE(is_nothing(options_of(kSegment.tcp_option_bytes({8, 10, 1, 2, 3, 4, 5, 6}))));   // 8 of 10 bytes
  EXPECT_TRUE(is_nothing(options_of(kSegment.tcp_option_bytes({5, 255, 0, 0, 0, 1, 0, 0}))));  // SACK of 255 bytes
  EXPECT_TRUE(
      is_nothing(options_of(kSegment.tcp_option_bytes({1, 1, 3, 3}).payload("\007data"))));  // payload is no option
}

TEST(TcpOptions, Cve2004_0626_one_byte_tail_ends_the_walk) {
  for (std::uint32_t kind = 2; kind <= 255; ++kind) {
    const auto tail = static_cast<std::uint8_t>(kind);
    EXPECT_TRUE(is_nothing(options_of(kSegment.tcp_option_bytes({1, 1, 1, tail})))) << kind;
  }
}

TEST(TcpOptions, sack_edge_is_the_highest_of_the_blocks) {
  EXPECT_EQ(options_of(kSegment.sack({{100, 200}})).sack_high, 200U);
  EXPECT_EQ(options_of(kSegment.sack({{100, 200}, {500, 700}, {300, 400}})).sack_high, 700U);
  EXPECT_EQ(options_of(kSegment.sack({{500, 700}, {100, 200}})).sack_high, 700U);
}

TEST(TcpOptions, sack_edges_compare_across_the_wrap) {
  EXPECT_EQ(options_of(kSegment.sack({{0xffffff00, 0xfffffff0}, {0x10, 0x20}})).sack_high, 0x20U);
  EXPECT_EQ(options_of(kSegment.sack({{0x10, 0x20}, {0xffffff00, 0xfffffff0}})).sack_high, 0x20U);
  EXPECT_EQ(options_of(kSegment.sack({{0xffffff00, 0}})).sack_high, 0U);
}

TEST(TcpOptions, incomplete_sack_block_is_left_out) {
  const auto one_and_a_half = kSegment.tcp_option_bytes({5, 14, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 9, 1, 1});
  EXPECT_EQ(options_of(one_and_a_half).sack_high, 2U);
  EXPECT_EQ(options_of(kSegment.tcp_option_bytes({5, 2, 1, 1})).sack_high, std::nullopt);
}

TEST(TcpOptions, any_bytes_at_all_end_the_walk_within_the_header) {
  std::mt19937 random(1);
  for (int round = 0; round < 200000; ++round) {
    const std::size_t words = 5 + random() % 11;
    const std::size_t size = 4 * words;
    const auto bytes = std::make_unique<std::uint8_t[]>(size);
    for (std::size_t i = 0; i < size; ++i) {
      bytes[i] = static_cast<std::uint8_t>(random() % 2 == 0 ? random() % 12 : random());
    }
    bytes[tcp::kDataOffset] = static_cast<std::uint8_t>(words << 4);
    const auto view = TcpView::parse({bytes.get(), size});
    ASSERT_TRUE(view);
    const TcpOptions options = view->options();
    ASSERT_LE(options.window_scale.value_or(0), tcp::kMaxWindowScale);
  }
}

TEST(TcpFlags, the_nine_sets_that_stacks_send_are_valid) {
  using namespace tcp;
  const std::set<int> valid = {kSyn,        kSyn | kUrg,        kSyn | kAck, kRst,       kRst | kAck,
                               kFin | kAck, kFin | kAck | kUrg, kAck,        kAck | kUrg};
  for (int flags = 0; flags < 256; ++flags) {
    const int core = flags & ~(kPsh | kEce | kCwr);
    EXPECT_EQ(tcp_flags_are_valid(static_cast<std::uint8_t>(flags)), valid.contains(core)) << flags;
  }
}

TEST(TcpFlags, Cve2001_0183_ecn_bits_change_nothing) {
  for (int flags = 0; flags < 64; ++flags) {
    for (const int ecn : {0x40, 0x80, 0xc0}) {
      EXPECT_EQ(tcp_flags_are_valid(static_cast<std::uint8_t>(flags | ecn)),
                tcp_flags_are_valid(static_cast<std::uint8_t>(flags)));
    }
  }
}

TEST(TcpFlags, letters_have_syn_first) {
  char buffer[9];
  EXPECT_STREQ(tcp::flag_letters(tcp::kSyn, buffer), "S");
  EXPECT_STREQ(tcp::flag_letters(tcp::kAck | tcp::kSyn, buffer), "SA");
  EXPECT_STREQ(tcp::flag_letters(tcp::kAck | tcp::kPsh, buffer), "PA");
  EXPECT_STREQ(tcp::flag_letters(0, buffer), ".");
  EXPECT_STREQ(tcp::flag_letters(0xff, buffer), "SFRPAUEC");
}

}  // namespace
}  // namespace vipgate::test
