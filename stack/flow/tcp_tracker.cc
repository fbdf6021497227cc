#include "flow/tcp_tracker.h"

#include <algorithm>
#include <chrono>

#include "flow/tcp_steps.h"
#include "flow/tcp_window.h"

// How connections open, close and break off. Which segments belong to them at all, and why: flow/tcp_window.h.

namespace vipgate {
namespace {

using enum TcpState;
using sequence::after;
using sequence::before;
using sequence::later;

/// How long a connection lives of which only one side was ever heard (Linux's nf_conntrack_tcp_timeout_unacknowledged).
constexpr Duration kMaxPickedUp = std::chrono::seconds(300);

constexpr TcpResult kRefresh{TcpOutcome::accept, Reason::none, true};
constexpr TcpResult kAccept{TcpOutcome::accept, Reason::none, false};
constexpr TcpResult kIgnore{TcpOutcome::ignore, Reason::none, false};
constexpr TcpResult kReopen{TcpOutcome::reopen, Reason::none, false};
constexpr TcpResult invalid(Reason reason) {
  return {TcpOutcome::invalid, reason, false};
}

TcpKind kind_of(const TcpSegment& segment) {
  if (segment.has(tcp::kRst)) return TcpKind::rst;
  if (segment.has(tcp::kSyn)) return segment.has(tcp::kAck) ? TcpKind::syn_ack : TcpKind::syn;
  return segment.has(tcp::kFin) ? TcpKind::fin : TcpKind::ack;
}

/// The side as its SYN shows it. `max_end` is the sequence number after the SYN: nothing more is allowed yet.
TcpPeer peer_of(const TcpSegment& syn) {
  TcpPeer peer;
  peer.end = syn.end();
  peer.max_end = syn.sequence + 1;
  peer.max_window = std::max<std::uint32_t>(syn.window, 1);  // RFC 7323 §2.2: the window of a SYN is never scaled
  peer.scale = syn.options.window_scale.value_or(0);
  if (syn.options.window_scale) peer.flags |= TcpPeer::kOffersScale;
  if (syn.options.sack_permitted) peer.flags |= TcpPeer::kSackPermitted;
  peer.syn_low = static_cast<std::uint16_t>(syn.sequence);
  return peer;
}

/// The sequence number after the side's SYN, as long as it sent less than 64 KiB since.
std::uint32_t after_syn(const TcpPeer& peer) {
  return peer.end - static_cast<std::uint16_t>(peer.end - peer.syn_low - 1);
}

/// Whether a segment with SYN looks like one that the side has sent before.
bool is_own_syn(const TcpPeer& peer, const TcpSegment& syn) {
  return static_cast<std::uint16_t>(syn.sequence) == peer.syn_low;
}

/// In SYN_SENT and SYN_SENT2: whether the side's SYN is acknowledged, with the data that came in it (RFC 7413) or
/// without.
bool acknowledges_syn(std::uint32_t acknowledgement, const TcpPeer& peer) {
  return peer.was_heard() && !before(acknowledgement, peer.max_end) && !after(acknowledgement, peer.end);
}

/// Remembers a SYN of the original side that cannot be believed. If the reply side answers it, they know better than
/// we.
void note_syn(TcpTrack& track, const TcpPeer& peer) {
  track.noted = after_syn(peer);
  track.noted_window = static_cast<std::uint16_t>(std::min<std::uint32_t>(peer.max_window, 0xffff));
  track.noted_scale = peer.scale;
  track.noted_flags = static_cast<std::uint8_t>((peer.flags & TcpPeer::kOfSyn) | TcpTrack::kNotedSyn);
  if (track.state == last_ack) track.noted_flags |= TcpTrack::kNotedInLastAck;
}

TcpPeer noted_peer(const TcpTrack& track) {
  TcpPeer peer;
  peer.end = peer.max_end = track.noted;
  peer.max_window = track.noted_window;
  peer.scale = track.noted_scale;
  peer.syn_low = static_cast<std::uint16_t>(track.noted - 1);
  peer.flags = track.noted_flags & TcpPeer::kOfSyn;
  return peer;
}

bool answers_noted_syn(const TcpTrack& track, Direction direction, const TcpSegment& segment) {
  return direction == Direction::reply && (track.noted_flags & TcpTrack::kNotedSyn) != 0 && segment.has(tcp::kAck) &&
         segment.acknowledgement == track.noted;
}

/// The reply side's SYN/ACK answers what is now known of the original side.
TcpResult answer(TcpTrack& track, const TcpSegment& syn_ack) {
  TcpPeer& server = track.peer(Direction::reply);
  server = peer_of(syn_ack);
  server.max_end += track.peer(Direction::original).max_window;
  learn(track, Direction::reply, read(track, Direction::reply, syn_ack));
  track.state = syn_recv;
  return kRefresh;
}

/// Its SYN/ACK answers the noted SYN: begin there. A SYN that was still waiting for its own answer is noted instead.
TcpResult resynchronise(TcpTrack& track, const TcpSegment& syn_ack) {
  const TcpPeer client = noted_peer(track);
  const TcpPeer given_up = track.peer(Direction::original);
  const bool waiting = track.state == syn_sent;
  track.peer(Direction::original) = client;
  track.flags = 0;
  track.noted_flags = 0;
  if (waiting) note_syn(track, given_up);
  return answer(track, syn_ack);
}

/// Simultaneous open: each side's SYN/ACK repeats its SYN and acknowledges the other's. The second completes it.
bool join(TcpTrack& track, Direction direction, const TcpSegment& syn_ack) {
  const TcpReading reading = read(track, direction, syn_ack);
  if (reading.end != track.peer(direction).end || fit(track, direction, reading) != TcpFit::inside) return false;
  learn(track, direction, reading);
  track.state = (track.peers[0].flags & track.peers[1].flags & TcpPeer::kAcked) != 0 ? established : syn_recv;
  return true;
}

/// Its SYN or SYN/ACK comes once more: whoever repeats it needs an answer, whatever we have seen since.
bool repeats_simultaneous_open(const TcpTrack& track, Direction direction, const TcpSegment& segment) {
  return track.has(TcpTrack::kSimultaneous) && segment.has(tcp::kSyn) && is_own_syn(track.peer(direction), segment);
}

TcpResult track_syn(TcpTrack& track, Direction direction, const TcpSegment& segment) {
  TcpPeer& sender = track.peer(direction);
  if (!sender.was_heard()) {  // RFC 9293 §3.5, figure 7: simultaneous open
    sender = peer_of(segment);
    track.flags |= TcpTrack::kSimultaneous;
    track.state = syn_sent2;
    return kRefresh;
  }
  if (segment.sequence + 1 == sender.max_end) {
    sender.end = later(sender.end, segment.end());
    return kAccept;  // retransmitted: whoever never answers must not be kept alive by it
  }
  // Another SYN before the first was answered. Which of the two is the old one, the answer will tell.
  if (direction == Direction::original) note_syn(track, peer_of(segment));
  return kIgnore;
}

TcpResult track_syn_ack(TcpTrack& track, Direction direction, const TcpSegment& segment) {
  if (direction == Direction::reply) {
    if (acknowledges_syn(segment.acknowledgement, track.peer(Direction::original))) return answer(track, segment);
    if (answers_noted_syn(track, direction, segment)) return resynchronise(track, segment);
    return invalid(Reason::tcp_window);
  }
  if (!track.has(TcpTrack::kSimultaneous)) return invalid(Reason::tcp_state);
  return join(track, direction, segment) ? kRefresh : invalid(Reason::tcp_window);
}

TcpResult track_ignored(TcpTrack& track, Direction direction, TcpKind kind, const TcpSegment& segment) {
  const bool same_syn = is_own_syn(track.peer(direction), segment);
  switch (kind) {
    case TcpKind::syn:
      // The connection's own SYN, late or once more, says nothing new.
      if (!same_syn || track.has(TcpTrack::kPickedUp)) note_syn(track, peer_of(segment));
      break;
    case TcpKind::syn_ack:
      if (answers_noted_syn(track, direction, segment)) return resynchronise(track, segment);
      if (track.state == syn_recv && track.has(TcpTrack::kSimultaneous)) {
        return join(track, direction, segment) ? kRefresh : kIgnore;
      }
      // With SYN cookies (RFC 4987 §3.6) a server may answer a retransmission with another number.
      if (track.state == syn_recv && !same_syn && segment.acknowledgement == track.peer(Direction::original).end) {
        return answer(track, segment);
      }
      break;
    case TcpKind::ack:  // before any SYN/ACK. The RST that refutes it will bear its number
      track.noted = segment.acknowledgement;
      track.noted_flags = TcpTrack::kNotedAck;
      break;
    default:
      break;
  }
  return kIgnore;
}

TcpResult close_by_reset(TcpTrack& track, Direction direction) {
  const bool closed_already = track.state == close;
  if (!track.has(TcpTrack::kClosing) && !tcp_is_half_open(track.state) && !closed_already) {
    track.flags |= TcpTrack::kClosing;
    if (direction == Direction::reply) track.flags |= TcpTrack::kReplyFirst;
  }
  track.state = close;
  return closed_already ? kAccept : kRefresh;
}

/// RFC 5961 §3.2, and RFC 9293 §3.10.7.3 for who sent nothing but a SYN. A RST never moves windows.
TcpResult track_reset(TcpTrack& track, Direction direction, const TcpSegment& segment) {
  const TcpPeer& sender = track.peer(direction);
  const TcpPeer& receiver = track.peer(opposite(direction));
  if (answers_noted_syn(track, direction, segment)) {
    track.state = close;  // it knows of no connection at all
    return kRefresh;
  }
  if (track.state == syn_sent || track.state == syn_sent2) {
    const bool refuses = segment.has(tcp::kAck) && acknowledges_syn(segment.acknowledgement, receiver);
    const bool refutes = direction == Direction::original && (track.noted_flags & TcpTrack::kNotedAck) != 0 &&
                         segment.sequence == track.noted;
    const bool gives_up = sender.was_heard() && segment.sequence == sender.end;
    return refuses || refutes || gives_up ? close_by_reset(track, direction) : invalid(Reason::tcp_reset);
  }

  // What the receiver expects next is what it acknowledged last, or, if it has received all since then, what the sender
  // sent last: a TCP that aborts sends its RST behind data in flight.
  const bool expected = (receiver.flags & TcpPeer::kAcked) != 0;
  if (expected && before(segment.sequence, receiver.max_ack)) return invalid(Reason::tcp_reset);
  const bool exact =
      (expected && segment.sequence == receiver.max_ack) || (sender.was_heard() && segment.sequence == sender.end);
  if (exact) return close_by_reset(track, direction);
  // Its receiver will answer with a challenge ACK, and if the RST was real, an exact one follows.
  if (tcp_is_liberal(track)) return kAccept;
  const bool in_window =
      !after(segment.sequence, sender.max_end) && (expected || !before(segment.sequence, sender.end));
  return in_window ? kAccept : invalid(Reason::tcp_reset);
}

/// Whether each side acknowledged all that the other sent, FIN included.
bool all_is_acknowledged(const TcpTrack& track) {
  const auto& [a, b] = track.peers;
  return !before(a.max_ack, b.end) && !before(b.max_ack, a.end);
}

/// Where a credible ACK or FIN leads. The table knows what may come; who sent it already, only the peers know.
TcpState next_state(const TcpTrack& track, Direction direction, TcpKind kind, TcpState next) {
  const bool again = (track.peer(direction).flags & TcpPeer::kFinished) != 0;
  const bool both = again && (track.peer(opposite(direction)).flags & TcpPeer::kFinished) != 0;
  if (kind == TcpKind::fin && next == last_ack && again && !both) return track.state;  // still half-closed
  if (track.state == last_ack && next == time_wait && !all_is_acknowledged(track)) return last_ack;
  if (track.state == syn_recv && next == syn_recv && track.has(TcpTrack::kSimultaneous)) return established;
  return next;
}

void note_fin(TcpTrack& track, Direction direction, const TcpSegment& segment) {
  if (!track.has(TcpTrack::kClosing)) {
    track.flags |= TcpTrack::kClosing;
    if (direction == Direction::reply) track.flags |= TcpTrack::kReplyFirst;
  } else if (direction == Direction::reply && before(segment.acknowledgement, track.peer(Direction::original).end)) {
    // It had not received the other's FIN: RFC 9293 §3.6, figure 13. Then both sides go to TIME-WAIT.
    track.flags |= TcpTrack::kReplyFirst;
  }
  track.peer(direction).flags |= TcpPeer::kFinished;
}

TcpResult track_data(TcpTrack& track, Direction direction, TcpKind kind, const TcpSegment& segment, TcpState next) {
  TcpPeer& sender = track.peer(direction);
  // RFC 5961 §4: a SYN that we let pass makes the other side send a challenge ACK. It acknowledges no FIN.
  if (track.state == last_ack && kind == TcpKind::ack && direction == Direction::reply &&
      (track.noted_flags & TcpTrack::kNotedInLastAck) != 0) {
    track.noted_flags &= static_cast<std::uint8_t>(~TcpTrack::kNotedInLastAck);
    return kIgnore;
  }

  const TcpReading reading = read(track, direction, segment);
  if (!tcp_is_liberal(track)) {
    switch (fit(track, direction, reading)) {
      case TcpFit::outside:
        return invalid(Reason::tcp_window);
      case TcpFit::overshoot:
        sender.end = later(sender.end, reading.end);
        return kIgnore;
      case TcpFit::beside:
        return kIgnore;
      case TcpFit::inside:
        break;
    }
    // RFC 9293 §3.10.7.4: only an ACK of the SYN/ACK ends SYN-RECEIVED; (IV) is content with 66000 others.
    if (track.state == syn_recv && direction == Direction::original &&
        before(reading.ack, after_syn(track.peer(Direction::reply)))) {
      return kIgnore;
    }
  }
  learn(track, direction, reading);
  learn_timestamp(track, direction, segment);
  // It still uses this connection: the SYN noted was not its own, or is history.
  if (direction == Direction::original) track.noted_flags = 0;

  next = next_state(track, direction, kind, next);
  if (kind == TcpKind::fin) note_fin(track, direction, segment);
  track.state = next;
  return kRefresh;
}

}  // namespace

bool tcp_may_open(const TcpSegment& segment) {
  return tcp_flags_are_valid(segment.flags) && kind_of(segment) == TcpKind::syn;
}

TcpTrack tcp_open(const TcpSegment& syn) {
  TcpTrack track;
  track.peer(Direction::original) = peer_of(syn);
  track.state = syn_sent;
  learn_timestamp(track, Direction::original, syn);
  return track;
}

bool tcp_may_pick_up(const TcpSegment& segment) {
  return tcp_flags_are_valid(segment.flags) && kind_of(segment) == TcpKind::ack;
}

TcpTrack tcp_pick_up(const TcpSegment& segment, Direction direction) {
  TcpTrack track;
  track.state = established;
  track.flags = TcpTrack::kPickedUp | TcpTrack::kResumed;
  // The SYNs went by unseen. To assume the most that they may have offered can only let too much pass.
  for (TcpPeer& peer : track.peers) {
    peer.scale = tcp::kMaxWindowScale;
    peer.flags = TcpPeer::kOffersScale | TcpPeer::kSackPermitted | TcpPeer::kUnheard;
  }
  const TcpReading reading = read(track, direction, segment);
  TcpPeer& sender = track.peer(direction);
  sender.end = sender.max_end = reading.end;
  TcpPeer& receiver = track.peer(opposite(direction));
  receiver.end = receiver.max_end = reading.sack;
  learn(track, direction, reading);
  learn_timestamp(track, direction, segment);
  return track;
}

TcpResult tcp_track(TcpTrack& track, Direction direction, const TcpSegment& segment) {
  if (!tcp_flags_are_valid(segment.flags)) return invalid(Reason::tcp_flags);
  const TcpKind kind = kind_of(segment);
  const TcpStep step = tcp_step(direction, kind, track.state);
  switch (step.what) {
    case TcpStep::What::invalid:
      return repeats_simultaneous_open(track, direction, segment) ? kIgnore : invalid(Reason::tcp_state);
    case TcpStep::What::ignore:
      return track_ignored(track, direction, kind, segment);
    case TcpStep::What::reopen:
      return kReopen;
    case TcpStep::What::go:
      break;
  }
  switch (kind) {
    case TcpKind::syn:
      return track_syn(track, direction, segment);
    case TcpKind::syn_ack:
      return track_syn_ack(track, direction, segment);
    case TcpKind::rst:
      return track_reset(track, direction, segment);
    default:
      return track_data(track, direction, kind, segment, step.next);
  }
}

bool tcp_is_sound(const TcpTrack& track) {
  const auto sound = [](const TcpPeer& peer) {
    return peer.scale <= tcp::kMaxWindowScale && peer.max_window <= kMaxWindow;
  };
  return static_cast<std::size_t>(track.state) < kTcpStateCount && track.noted_scale <= tcp::kMaxWindowScale &&
         std::all_of(track.peers.begin(), track.peers.end(), sound);
}

void tcp_make_liberal(TcpTrack& track) {
  track.flags |= TcpTrack::kResumed;
  for (TcpPeer& peer : track.peers) peer.flags |= TcpPeer::kUnheard;
}

bool tcp_is_liberal(const TcpTrack& track) {
  return ((track.peers[0].flags | track.peers[1].flags) & TcpPeer::kUnheard) != 0;
}

Duration tcp_timeout(const TcpTrack& track, const Timeouts& timeouts) {
  const Duration timeout = tcp_timeout(track.state, timeouts);
  if (!tcp_is_one_sided(track)) return timeout;
  return std::min({timeout, timeouts.picked_up, kMaxPickedUp});
}

bool tcp_is_half_open(const TcpTrack& track) {
  return tcp_is_half_open(track.state) || tcp_is_one_sided(track);
}

bool tcp_in_flight(const TcpTrack& track, Direction sender, std::uint32_t sequence) {
  if (tcp_is_liberal(track)) return true;
  const TcpPeer& peer = track.peer(sender);
  const TcpPeer& receiver = track.peer(opposite(sender));
  const bool acknowledged = (receiver.flags & TcpPeer::kAcked) != 0 && before(sequence, receiver.max_ack);
  return !acknowledged && !after(sequence, peer.end);
}

std::optional<std::uint32_t> tcp_expected_by(const TcpTrack& track, Direction side) {
  const auto& [a, b] = track.peers;
  const bool set_up = !tcp_is_half_open(track) && !tcp_is_closed(track.state) && track.state != none;
  if (!set_up || (a.flags & b.flags & TcpPeer::kAcked) == 0) return std::nullopt;
  return track.peer(side).max_ack;
}

bool tcp_closed_by_reply_first(const TcpTrack& track) {
  return track.has(TcpTrack::kReplyFirst);
}

bool tcp_syn_exceeds(const TcpTrack& old, const TcpSegment& syn) {
  const bool comparable = old.has(TcpTrack::kTimestamps) && syn.options.timestamp;
  if (comparable && *syn.options.timestamp != old.last_timestamp)
    return after(*syn.options.timestamp, old.last_timestamp);
  return after(syn.sequence, old.peer(Direction::original).end);
}

}  // namespace vipgate
