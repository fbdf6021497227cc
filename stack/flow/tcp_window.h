#pragma once

#include <algorithm>
#include <cstdint>

#include "flow/tcp_tracker.h"

// Theory of operation
//
// We sit between two TCPs and see what each sends, not what each receives: a segment that we passed may still be lost.
// So no segment proves more than that its sender sent it, and an acknowledgement in one direction is the only proof of
// arrival in the other. For each side we keep the highest sequence number that it used (end), the highest that the
// other side allowed it (max_end), and the largest window that it offered itself (max_window). A segment belongs to the
// connection if it *meets* the window between these, as Guido van Rooij described for IP Filter ("Real stateful TCP
// packet filtering in IP Filter", SANE 2000) and Linux's nf_conntrack does:
//
//     (I)    sequence     <= sender.max_end                              no data that the receiver has no room for
//     (II)   sequence end >= sender.end - receiver.max_window            nor data that it has long acknowledged
//     (III)  ack          <= receiver.end                                no acknowledgement of data never sent
//     (IV)   ack          >= receiver.end - max(sender.max_window, 66000)    nor one much too late
//
// where ack is the highest edge that the segment's SACK blocks report, if it reports any. What fails (III), or fails
// (I) by more than a window, comes from somebody who guesses: invalid. What fails (II) or (IV), or (I) by less, may be
// a straggler or a TCP that takes liberties: it passes, but is believed nothing. Readings chosen: (I) is Linux's, to
// which "one beyond max_end" is a small overshoot; such a segment still moves `end`, since its receiver may well
// acknowledge it.
//
// RSTs are not put through these equations but through RFC 5961 §3, in every synchronised state (Linux: in ESTABLISHED
// alone).
//
// When a connection is picked up mid-stream, or adopted from another process, everything passes until both sides were
// heard. Later on too such a connection may see data acknowledged that passed unseen, so that (III) then allows what
// the acknowledging side had offered itself. Of a connection that is picked up the window scales are unknown; the
// largest are assumed, which makes its windows as wide as 1 GiB: wide, but still windows (Linux checks none, ever).

namespace vipgate {

/// Sequence space, RFC 9293 §3.4: of two numbers the one less than 2^31 ahead is the later. At exactly 2^31 each is
/// before the other, so that neither passes for new.
namespace sequence {
constexpr bool after(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b) > 0;
}
constexpr bool before(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b) < 0;
}
constexpr std::uint32_t later(std::uint32_t a, std::uint32_t b) {
  return after(a, b) ? a : b;
}
}  // namespace sequence

/// Linux nf_conntrack's MAXACKWINCONST: somewhat more than the largest unscaled window.
inline constexpr std::uint32_t kMinAckWindow = 66000;
/// RFC 7323 §2.3: "the maximum window size is 1 GiB".
inline constexpr std::uint32_t kMaxWindow = std::uint32_t{1} << 30;

/// A segment in the terms of the equations.
struct TcpReading {
  std::uint32_t sequence;
  std::uint32_t end;
  std::uint32_t ack;
  std::uint32_t sack;    ///< highest SACK edge, else as `ack`
  std::uint32_t window;  ///< scaled
};

inline TcpReading read(const TcpTrack& track, Direction direction, const TcpSegment& segment) {
  const TcpPeer& sender = track.peer(direction);
  const TcpPeer& receiver = track.peer(opposite(direction));
  const std::uint32_t ack = segment.acknowledgement;
  std::uint32_t sack = ack;
  if (segment.options.sack_high && (receiver.flags & TcpPeer::kSackPermitted) != 0) {
    sack = sequence::later(sack, *segment.options.sack_high);
  }
  // RFC 7323 §2.2: windows are scaled only if both SYNs offered it, and never in a SYN itself.
  const bool scaled = (sender.flags & receiver.flags & TcpPeer::kOffersScale) != 0 && !segment.has(tcp::kSyn);
  return {segment.sequence, segment.end(), ack, sack, std::uint32_t{segment.window} << (scaled ? sender.scale : 0)};
}

enum class TcpFit : std::uint8_t {
  inside,
  beside,     ///< a straggler: passes
  overshoot,  ///< passes, and may be acknowledged
  outside,
};

/// value >= edge - slack. (Subtracting first would wrap where both window and distance are near 1 GiB.)
constexpr bool reaches(std::uint32_t value, std::uint32_t edge, std::uint32_t slack) {
  return sequence::after(value, edge) || edge - value <= slack;
}

inline TcpFit fit(const TcpTrack& track, Direction direction, const TcpReading& segment) {
  const TcpPeer& sender = track.peer(direction);
  const TcpPeer& receiver = track.peer(opposite(direction));
  const std::uint32_t newest =
      track.has(TcpTrack::kResumed) ? sequence::later(receiver.end, receiver.max_end) : receiver.end;

  const bool i = !sequence::after(segment.sequence, sender.max_end);
  const bool ii = reaches(segment.end, sender.end, receiver.max_window);
  const bool iii = !sequence::after(segment.sack, newest);
  const bool iv = reaches(segment.sack, receiver.end, std::max(sender.max_window, kMinAckWindow));

  if (!iii) return TcpFit::outside;
  if (!i) return ii && iv && segment.end - sender.max_end < receiver.max_window ? TcpFit::overshoot : TcpFit::outside;
  return ii && iv ? TcpFit::inside : TcpFit::beside;
}

/// Takes over what a credible segment shows.
inline void learn(TcpTrack& track, Direction direction, const TcpReading& segment) {
  TcpPeer& sender = track.peer(direction);
  TcpPeer& receiver = track.peer(opposite(direction));

  sender.end = sequence::later(sender.end, segment.end);
  sender.max_ack = (sender.flags & TcpPeer::kAcked) != 0 ? sequence::later(sender.max_ack, segment.ack) : segment.ack;
  sender.flags |= TcpPeer::kAcked;
  sender.flags &= static_cast<std::uint8_t>(~TcpPeer::kUnheard);
  // What is reported by SACK takes up room too. A window of 0 still admits a probe of one byte (RFC 9293 §3.8.6.1).
  const std::uint32_t window = std::max<std::uint32_t>(segment.window, 1);
  sender.max_window = std::min(std::max(sender.max_window, window + (segment.sack - segment.ack)), kMaxWindow);

  receiver.max_end = sequence::later(receiver.max_end, segment.sack + window);
  // The sender went beyond the edge that we know of: it will know why. The receiver's window must then reach from its
  // last ACK to there.
  if (sequence::after(segment.end, sender.max_end) && (receiver.flags & TcpPeer::kAcked) != 0) {
    receiver.max_window = std::min(std::max(receiver.max_window, segment.end - receiver.max_ack), kMaxWindow);
  }
}

/// For tcp_syn_exceeds(): who opened may open again.
inline void learn_timestamp(TcpTrack& track, Direction direction, const TcpSegment& segment) {
  if (direction != Direction::original || !segment.options.timestamp) return;
  track.last_timestamp = track.has(TcpTrack::kTimestamps)
                             ? sequence::later(track.last_timestamp, *segment.options.timestamp)
                             : *segment.options.timestamp;
  track.flags |= TcpTrack::kTimestamps;
}

}  // namespace vipgate
