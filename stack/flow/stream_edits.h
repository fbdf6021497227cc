#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace vipgate {

// Theory of operation
//
// Whoever replaces bytes in a TCP stream by others of another length changes the sequence numbers of all that follows:
// the two ends then count differently. An edit says that the sender's bytes [from, from + length) are to the receiver a
// text of another length; `offset` says what the edits that are over and forgotten add up to.
//
// An interval may come in several segments, and come again cut at other places. So the text travels with the last byte
// of its interval, and the other bytes carry nothing. Until the last byte is there, what has come of the interval is
// held here. Because a sender may wait for an acknowledgement before it sends on (Nagle), held bytes count as
// acknowledged as soon as the receiver has acknowledged all before them: they need not be sent again, the last byte
// brings them all. A segment that is left with nothing goes out empty with an old sequence number, as a keep-alive does
// (RFC 9293 §3.8.4), which makes the receiver acknowledge.
//
//     sender's bytes     | a a a | b b b b b | c c c         b: the interval
//     receiver's         | a a a | T T | c c c               T: its text, which comes with the last b
//     acknowledges T's beginning, or middle  =>  the sender learns that all but the last b arrived
//
// All numbers are modulo 2^32 (RFC 9293 §3.4). An edit is forgotten when the receiver has acknowledged its text.
// Numbers from before it are then off by some bytes, but they name nothing that the receiver has not got.

/// Sender's bytes that are another text to the receiver.
struct StreamEdit {
  static constexpr std::size_t kMaxText = 30;

  std::uint32_t from = 0;             ///< sender's number of the first byte
  std::uint8_t length = 0;            ///< bytes that the sender sent
  std::uint8_t text_length = 0;       ///< bytes that the receiver gets; 0 while the interval is held
  std::array<char, kMaxText> text{};  ///< while the interval is held, what came of it

  std::uint32_t end() const { return from + length; }
  std::uint32_t growth() const { return std::uint32_t{text_length} - length; }
};
static_assert(sizeof(StreamEdit) == 36);

/// One direction of a TCP stream in which intervals are replaced. Plain data: it lives in shared memory and may be
/// adopted by another process.
struct StreamEdits {
  /// Edits that may wait for their acknowledgement at a time.
  static constexpr std::size_t kPlaces = 4;
  /// Bytes that splice() may need behind the payload.
  static constexpr std::size_t kRoom = kPlaces * StreamEdit::kMaxText;

  std::uint32_t next = 0;    ///< sender's number of the first byte that was not read yet
  std::uint32_t offset = 0;  ///< receiver's number less sender's, before the first edit
  std::array<StreamEdit, kPlaces> edits{};
  std::uint8_t count = 0;
  std::uint8_t holding = 0;  ///< 1: the last edit's interval is not complete
  std::uint16_t reserved = 0;

  /// The stream begins (anew), or is joined, before the byte `first`.
  void restart(std::uint32_t first) { *this = {.next = first}; }
  /// Whether both ends count alike, and so nothing needs to be done.
  bool is_plain() const { return offset == 0 && count == 0; }
  /// Whether a record that was found in memory can be used at all.
  bool is_sound() const;

  // Reading on, from `next`.

  /// The next bytes are to the receiver what they are.
  void pass(std::uint32_t bytes) { next += bytes; }
  /// An interval begins at `next`. False if all places are taken by edits whose acknowledgement is not there yet.
  bool begin_hold();
  /// The next byte belongs to the interval, which has room for StreamEdit::kMaxText.
  void hold(char byte);
  std::string_view held() const;
  /// Sender's number of the first byte held.
  std::uint32_t held_from() const { return edits[count - std::size_t{1}].from; }
  /// The interval ended with the last byte held: the receiver gets `text`, of at most StreamEdit::kMaxText bytes,
  /// instead.
  void replace_held(std::string_view text);
  /// The interval is no edit. For one of which no segment has left yet.
  void pass_held();

  // Numbers.

  /// What the receiver calls the sender's `sequence`.
  std::uint32_t to_receiver(std::uint32_t sequence) const;
  /// What the sender calls the receiver's acknowledgement, or the receiver's number of a byte. In the middle of a text,
  /// the last byte of its interval: that one has to come again.
  std::uint32_t to_sender(std::uint32_t acknowledgement) const;
  /// Edges of a SACK block (RFC 2018 §3). An interval of which the receiver has only a part of the text is not
  /// reported.
  std::uint32_t left_edge_to_sender(std::uint32_t edge) const;
  std::uint32_t right_edge_to_sender(std::uint32_t edge) const;
  /// Whether the byte belongs to an interval. An empty segment at it must look old, or nobody will answer it.
  bool is_edited(std::uint32_t sequence) const;

  /// Forgets edits that the receiver has acknowledged. Returns true if it has acknowledged what never was read: then
  /// reading goes on behind that.
  bool acknowledge(std::uint32_t acknowledgement);

  /// What becomes of a payload.
  struct Spliced {
    std::size_t taken;   ///< of the sender's bytes. The others have to come again
    std::size_t length;  ///< the receiver's bytes, which stand for those
  };
  /// Puts texts in the place of their intervals, in a payload that begins with the sender's byte `sequence` and that
  /// was read up to its end, in place. No more than `limit` bytes come out, which is at least StreamEdit::kMaxText.
  /// There are kRoom bytes behind the payload.
  Spliced splice(std::uint32_t sequence, std::uint8_t* payload, std::size_t length, std::size_t limit) const;
};
static_assert(sizeof(StreamEdits) == 156);
static_assert(std::is_trivially_copyable_v<StreamEdits> && std::has_unique_object_representations_v<StreamEdits>);

}  // namespace vipgate
