#include "flow/stream_edits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "flow/tcp_window.h"

namespace vipgate {
namespace {

std::string spliced(const StreamEdits& edits, std::uint32_t sequence, std::string_view payload,
                    std::size_t limit = 70000) {
  std::vector<std::uint8_t> bytes(payload.begin(), payload.end());
  bytes.resize(payload.size() + StreamEdits::kRoom, 0xcd);
  const auto [taken, length] = edits.splice(sequence, bytes.data(), payload.size(), limit);
  EXPECT_LE(taken, payload.size());
  EXPECT_LE(length, limit);
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)};
}

/// Holds as many bytes as `text` has, from edits.next on.
void hold(StreamEdits& edits, std::string_view text) {
  for (const char byte : text) edits.hold(byte);
}

/// 1000 to 1009 pass; 1010 to 1013 are to the receiver "abcdef"; 1014 to 1019 pass.
StreamEdits one_edit() {
  StreamEdits edits;
  edits.restart(1000);
  edits.pass(10);
  EXPECT_TRUE(edits.begin_hold());
  hold(edits, "1234");
  edits.replace_held("abcdef");
  edits.pass(6);
  return edits;
}

TEST(StreamEdits, numbers_behind_an_edit_are_shifted_and_back) {
  const StreamEdits edits = one_edit();
  EXPECT_EQ(edits.to_receiver(1009), 1009u);
  EXPECT_EQ(edits.to_receiver(1010), 1010u);
  EXPECT_EQ(edits.to_receiver(1014), 1016u);
  EXPECT_EQ(edits.to_receiver(1020), 1022u);
  EXPECT_EQ(edits.to_sender(1009), 1009u);
  EXPECT_EQ(edits.to_sender(1016), 1014u);
  EXPECT_EQ(edits.to_sender(1022), 1020u);
}

TEST(StreamEdits, part_of_a_text_leaves_the_last_byte_to_be_sent_again) {
  const StreamEdits edits = one_edit();
  for (std::uint32_t acknowledged = 1010; acknowledged < 1016; ++acknowledged) {
    EXPECT_EQ(edits.to_sender(acknowledged), 1013u);
  }
}

TEST(StreamEdits, Cve2003_0467_sack_reports_an_interval_only_with_its_whole_text) {
  const StreamEdits edits = one_edit();
  EXPECT_EQ(edits.left_edge_to_sender(1010), 1010u);
  EXPECT_EQ(edits.left_edge_to_sender(1011), 1014u);
  EXPECT_EQ(edits.left_edge_to_sender(1016), 1014u);
  EXPECT_EQ(edits.right_edge_to_sender(1010), 1010u);
  EXPECT_EQ(edits.right_edge_to_sender(1015), 1010u);
  EXPECT_EQ(edits.right_edge_to_sender(1016), 1014u);
  EXPECT_EQ(edits.right_edge_to_sender(1022), 1020u);
}

TEST(StreamEdits, text_comes_with_the_last_byte_of_its_interval) {
  const StreamEdits edits = one_edit();
  EXPECT_EQ(spliced(edits, 1000,
                    "0123456789"
                    "1234"
                    "uvwxyz"),
            "0123456789abcdefuvwxyz");
  EXPECT_EQ(spliced(edits, 1008,
                    "89"
                    "12"),
            "89");
  EXPECT_EQ(spliced(edits, 1010, "123"), "");
  EXPECT_EQ(spliced(edits, 1012, "34"), "abcdef");
  EXPECT_EQ(spliced(edits, 1013, "4u"), "abcdefu");
  EXPECT_EQ(spliced(edits, 1014, "uv"), "uv");
}

TEST(StreamEdits, splice_keeps_below_the_limit) {
  const StreamEdits edits = one_edit();
  std::vector<std::uint8_t> bytes(100, 'x');
  const auto cut = [&](std::size_t limit) {
    const auto [taken, length] = edits.splice(1000, bytes.data(), 20, limit);
    bytes.assign(100, 'x');
    return std::pair(taken, length);
  };
  EXPECT_EQ(cut(22), (std::pair<std::size_t, std::size_t>(20, 22)));
  EXPECT_EQ(cut(21), (std::pair<std::size_t, std::size_t>(19, 21)));
  EXPECT_EQ(cut(16), (std::pair<std::size_t, std::size_t>(14, 16)));
  EXPECT_EQ(cut(15), (std::pair<std::size_t, std::size_t>(10, 10)));
  EXPECT_EQ(cut(9), (std::pair<std::size_t, std::size_t>(9, 9)));
}

TEST(StreamEdits, held_bytes_count_as_arrived_when_all_before_them_has) {
  StreamEdits edits;
  edits.restart(0xfffffffe);
  edits.pass(1);
  ASSERT_TRUE(edits.begin_hold());
  hold(edits, "12");
  EXPECT_EQ(edits.held(), "12");
  EXPECT_EQ(edits.held_from(), 0xffffffffu);
  EXPECT_EQ(edits.to_sender(0xffffffff), 1u);
  EXPECT_EQ(edits.to_sender(0xfffffffe), 0xfffffffeu);
  EXPECT_EQ(edits.to_receiver(0), 0xffffffffu);
  EXPECT_EQ(edits.to_receiver(1), 0xffffffffu);
  EXPECT_EQ(spliced(edits, 0xfffffffe, "a12"), "a");
  EXPECT_TRUE(edits.is_edited(0));
  EXPECT_FALSE(edits.is_edited(1));
  EXPECT_FALSE(edits.is_edited(0xfffffffe));
  EXPECT_TRUE(edits.is_sound());
}

TEST(StreamEdits, held_bytes_can_be_let_go) {
  StreamEdits edits;
  edits.restart(7);
  ASSERT_TRUE(edits.begin_hold());
  hold(edits, "12");
  edits.pass_held();
  EXPECT_TRUE(edits.is_plain());
  EXPECT_EQ(edits.next, 9u);
}

TEST(StreamEdits, places_are_taken_until_acknowledged) {
  StreamEdits edits;
  edits.restart(100);
  for (std::size_t i = 0; i < StreamEdits::kPlaces; ++i) {
    ASSERT_TRUE(edits.begin_hold());
    hold(edits, "1");
    edits.replace_held("ab");
  }
  EXPECT_FALSE(edits.begin_hold());
  EXPECT_FALSE(edits.acknowledge(101));  // half of the first text
  EXPECT_EQ(edits.count, 4);
  EXPECT_FALSE(edits.acknowledge(104));
  EXPECT_EQ(edits.count, 2);
  EXPECT_EQ(edits.offset, 2u);
  EXPECT_TRUE(edits.begin_hold());
  EXPECT_EQ(edits.to_receiver(104), 108u);
}

TEST(StreamEdits, acknowledgement_of_what_was_not_read_goes_on_behind_it) {
  StreamEdits edits = one_edit();
  EXPECT_TRUE(edits.acknowledge(1030));
  EXPECT_EQ(edits.next, 1028u);
  EXPECT_EQ(edits.count, 0);
  EXPECT_EQ(edits.to_receiver(1028), 1030u);
}

TEST(StreamEdits, held_bytes_cannot_be_acknowledged) {
  StreamEdits edits = one_edit();
  ASSERT_TRUE(edits.begin_hold());
  hold(edits, "12");
  EXPECT_FALSE(edits.acknowledge(1023));
  EXPECT_EQ(edits.held(), "12");
  EXPECT_FALSE(edits.acknowledge(1022));
  EXPECT_EQ(edits.count, 1);
  EXPECT_EQ(edits.held(), "12");
}

TEST(StreamEdits, what_would_lead_out_of_the_record_is_not_sound) {
  const auto unsound = [](auto spoil) {
    StreamEdits edits = one_edit();
    EXPECT_TRUE(edits.begin_hold());
    edits.hold('1');
    EXPECT_TRUE(edits.is_sound());
    spoil(edits);
    return !edits.is_sound();
  };
  EXPECT_TRUE(unsound([](StreamEdits& edits) { edits.count = 5; }));
  EXPECT_TRUE(unsound([](StreamEdits& edits) { edits.count = 0; }));
  EXPECT_TRUE(unsound([](StreamEdits& edits) { edits.holding = 2; }));
  EXPECT_TRUE(unsound([](StreamEdits& edits) { edits.edits[3].text_length = 31; }));
  EXPECT_TRUE(unsound([](StreamEdits& edits) { edits.edits[1].length = 30; }));
  EXPECT_TRUE(unsound([](StreamEdits& edits) { edits.edits[1].text_length = 1; }));
  EXPECT_TRUE(unsound([](StreamEdits& edits) { ++edits.next; }));
}

/// The same with positions of 64 bits that begin at 0, and nothing forgotten: which bytes the receiver gets of each.
class Model {
 public:
  void pass(char byte) { add(byte, std::string(1, byte)); }
  void replace(std::string_view interval, std::string_view text) {
    for (std::size_t i = 0; i < interval.size(); ++i) {
      add(interval[i], i + 1 == interval.size() ? std::string(text) : std::string());
    }
  }
  const std::string& sent() const { return sent_; }
  const std::string& received() const { return received_; }
  /// Receiver's position of what the byte at the sender's position becomes.
  std::size_t start(std::size_t position) const { return starts_[position]; }
  const std::string& becomes(std::size_t position) const { return becomes_[position]; }

  /// The furthest position that may be acknowledged to the sender when the receiver has `length` bytes.
  std::size_t acknowledged(std::size_t length) const {
    std::size_t position = 0;
    while (position < becomes_.size() && start(position) + becomes_[position].size() <= length) ++position;
    return position;
  }

 private:
  void add(char byte, std::string becomes) {
    sent_ += byte;
    starts_.push_back(received_.size());
    received_ += becomes;
    becomes_.push_back(std::move(becomes));
  }

  std::string sent_;
  std::string received_;
  std::vector<std::size_t> starts_;
  std::vector<std::string> becomes_;
};

class StreamEditsRun {
 public:
  explicit StreamEditsRun(std::uint32_t seed) : random_(seed) {
    first_ = below(2) == 0 ? 0U - static_cast<std::uint32_t>(below(3000)) : static_cast<std::uint32_t>(random_());
    edits_.restart(first_);
  }

  void run() {
    for (int step = 0; step < 400; ++step) {
      read_on();
      for (int i = 0; i < 8; ++i) compare_payload();
      for (int i = 0; i < 8; ++i) compare_numbers();
      if (below(3) == 0) acknowledge();
      ASSERT_TRUE(edits_.is_sound());
      if (::testing::Test::HasFailure()) return;
    }
    EXPECT_GT(replaced_, 50U);
  }

 private:
  std::size_t below(std::size_t limit) { return random_() % limit; }
  std::string letters(std::size_t length) {
    std::string text;
    while (text.size() < length) text += static_cast<char>('a' + below(26));
    return text;
  }
  std::uint32_t number(std::size_t position) const { return first_ + static_cast<std::uint32_t>(position); }

  void read_on() {
    if (below(3) != 0) {
      for (const char byte : letters(1 + below(20))) {
        model_.pass(byte);
        edits_.pass(1);
      }
      return;
    }
    if (!edits_.begin_hold()) return;
    const std::string interval = letters(1 + below(StreamEdit::kMaxText));
    const std::size_t whole = model_.sent().size();
    for (const char byte : interval) {
      edits_.hold(byte);
      // While it is held: all before it acknowledged means all that came acknowledged.
      const std::size_t held = edits_.held().size();
      EXPECT_EQ(edits_.to_sender(number(model_.received().size())), number(whole + held));
      EXPECT_EQ(edits_.to_receiver(number(whole + below(held + 1))), number(model_.received().size()));
    }
    if (below(5) == 0) {
      edits_.pass_held();
      for (const char byte : interval) model_.pass(byte);
      return;
    }
    const std::string text = letters(below(StreamEdit::kMaxText + 1));
    edits_.replace_held(text);
    model_.replace(interval, text);
    ++replaced_;
  }

  /// Any payload whose bytes the receiver has not acknowledged.
  void compare_payload() {
    const std::size_t end = model_.sent().size();
    const std::size_t begin = forgotten_ + below(end - forgotten_ + 1);
    const std::string payload = model_.sent().substr(begin, below(end - begin + 1));
    std::string expected;
    for (std::size_t i = 0; i < payload.size(); ++i) expected += model_.becomes(begin + i);
    ASSERT_EQ(spliced(edits_, number(begin), payload), expected);
    const std::size_t limit = StreamEdit::kMaxText + below(60);
    const std::string limited = spliced(edits_, number(begin), payload, limit);
    ASSERT_EQ(limited, expected.substr(0, limited.size()));
    if (expected.size() > limit) {
      ASSERT_GT(limited.size() + StreamEdit::kMaxText, limit);
    }
    if (begin < end) {
      ASSERT_EQ(edits_.to_receiver(number(begin)), number(model_.start(begin)));
    }
  }

  void compare_numbers() {
    const std::size_t least = received_;
    const std::size_t length = least + below(model_.received().size() - least + 1);
    const std::uint32_t sender = edits_.to_sender(number(length));
    const std::size_t position = sender - first_;
    ASSERT_LE(position, model_.acknowledged(length));
    // Of an interval without a text none needs to be sent again; of others the last byte.
    if (length == model_.received().size()) {
      ASSERT_EQ(position, model_.sent().size());
    }
    ASSERT_EQ(edits_.to_receiver(sender) == number(length),
              position == model_.sent().size() || model_.start(position) == length);
    // Bytes within the edges must have been received wholly.
    const std::size_t right = length + below(model_.received().size() - length + 1);
    const std::uint32_t left_edge = edits_.left_edge_to_sender(number(length)) - first_;
    const std::uint32_t right_edge = edits_.right_edge_to_sender(number(right)) - first_;
    for (std::size_t i = left_edge; i < right_edge; ++i) {
      ASSERT_GE(model_.start(i), length);
      ASSERT_LE(model_.start(i) + model_.becomes(i).size(), right);
    }
    ASSERT_LE(right_edge, model_.sent().size());
  }

  void acknowledge() {
    received_ += below(model_.received().size() - received_ + 1);
    ASSERT_FALSE(edits_.acknowledge(number(received_)));
    while (forgotten_ < model_.sent().size() &&
           model_.start(forgotten_) + model_.becomes(forgotten_).size() <= received_) {
      ++forgotten_;
    }
    if (received_ == model_.received().size()) {
      ASSERT_EQ(edits_.count, 0);
    }
  }

  std::mt19937 random_;
  StreamEdits edits_;
  Model model_;
  std::uint32_t first_;
  std::size_t received_ = 0;   ///< bytes that the receiver has acknowledged
  std::size_t forgotten_ = 0;  ///< sender's bytes that need not come again
  std::size_t replaced_ = 0;
};

TEST(StreamEdits, do_as_a_table_of_all_bytes) {
  for (std::uint32_t seed = 1; seed <= 60 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    StreamEditsRun(seed).run();
  }
}

}  // namespace
}  // namespace vipgate
