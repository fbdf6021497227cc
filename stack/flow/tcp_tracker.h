#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "flow/direction.h"
#include "flow/tcp_states.h"
#include "vipgate/rules.h"
#include "vipgate/time.h"
#include "vipgate/verdict.h"
#include "wire/tcp.h"

namespace vipgate {

/// What the tracker reads of a segment. Sequence numbers are those that the sender sent: whoever offsets them puts them
/// back first.
struct TcpSegment {
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgement = 0;
  std::uint16_t window = 0;  ///< as on the wire, unscaled
  std::uint8_t flags = 0;
  std::uint32_t payload_length = 0;
  TcpOptions options;

  static TcpSegment of(const TcpView& view) {
    return {view.sequence(), view.acknowledgement(), view.window(),
            view.flags(),    view.payload_length(),  view.options()};
  }

  bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
  /// The sequence number after the last one used; SYN and FIN count as one each (RFC 9293 §3.4).
  std::uint32_t end() const {
    return sequence + payload_length + (has(tcp::kSyn) ? 1U : 0U) + (has(tcp::kFin) ? 1U : 0U);
  }
};

/// One side of a connection, as far as it shows in what both sides sent.
struct TcpPeer {
  std::uint32_t end = 0;         ///< highest sequence end it sent
  std::uint32_t max_end = 0;     ///< highest sequence number that the other side let it send
  std::uint32_t max_window = 0;  ///< largest window it offered, scaled; 0: it has sent nothing yet
  std::uint32_t max_ack = 0;     ///< highest acknowledgement it sent, if `flags` has kAcked
  std::uint8_t scale = 0;        ///< shift count of its windows
  std::uint8_t flags = 0;        ///< of the constants below
  std::uint16_t syn_low = 0;     ///< lower half of its SYN's sequence number

  static constexpr std::uint8_t kOffersScale = 1;    ///< its SYN had the window scale option
  static constexpr std::uint8_t kSackPermitted = 2;  ///< its SYN allowed the other side to send SACKs
  static constexpr std::uint8_t kOfSyn = 3;          ///< the two above
  static constexpr std::uint8_t kAcked = 4;          ///< it has sent an ACK
  static constexpr std::uint8_t kFinished = 8;       ///< it has sent its FIN
  static constexpr std::uint8_t kUnheard = 16;       ///< nothing heard of it since pick-up or adoption

  bool was_heard() const { return max_window != 0; }

  bool operator==(const TcpPeer&) const = default;
};

/// What is known of one connection. Plain data: it lives in shared memory and may be adopted by another process at any
/// byte.
struct TcpTrack {
  std::array<TcpPeer, 2> peers;      ///< by Direction
  std::uint32_t last_timestamp = 0;  ///< highest TSval of the original side, if `flags` has kTimestamps
  std::uint32_t noted = 0;  ///< of the noted segment: the sequence number after a SYN, an ACK's acknowledgement
  std::uint16_t noted_window = 0;
  std::uint8_t noted_scale = 0;
  std::uint8_t noted_flags = 0;  ///< of the constants below; 0: no segment noted
  TcpState state = TcpState::none;
  std::uint8_t flags = 0;  ///< of the constants below
  std::uint16_t reserved = 0;

  static constexpr std::uint8_t kPickedUp = 1;      ///< began mid-stream: window scales are not known
  static constexpr std::uint8_t kResumed = 2;       ///< picked up or adopted: segments may have passed unseen
  static constexpr std::uint8_t kSimultaneous = 4;  ///< both sides sent a SYN
  static constexpr std::uint8_t kTimestamps = 8;    ///< `last_timestamp` holds
  static constexpr std::uint8_t kClosing = 16;      ///< a side has closed, and it is known which was first
  static constexpr std::uint8_t kReplyFirst = 32;   ///< with kClosing: the reply side

  // With kNotedSyn come TcpPeer's kOffersScale and kSackPermitted.
  static constexpr std::uint8_t kNotedSyn = 4;         ///< a SYN of the original side that was ignored
  static constexpr std::uint8_t kNotedAck = 8;         ///< an ACK of the reply side that was ignored in SYN_SENT
  static constexpr std::uint8_t kNotedInLastAck = 16;  ///< the SYN came in LAST_ACK: a challenge ACK may answer it

  TcpPeer& peer(Direction direction) { return peers[static_cast<std::size_t>(direction)]; }
  const TcpPeer& peer(Direction direction) const { return peers[static_cast<std::size_t>(direction)]; }
  bool has(std::uint8_t flag) const { return (flags & flag) != 0; }

  bool operator==(const TcpTrack&) const = default;
};
static_assert(sizeof(TcpTrack) <= 56 && alignof(TcpTrack) == 4);
static_assert(std::is_trivially_copyable_v<TcpTrack> && std::has_unique_object_representations_v<TcpTrack>);

enum class TcpOutcome : std::uint8_t {
  accept,   ///< passes; the state may have changed
  ignore,   ///< passes; the state stays and the flow is not refreshed
  reopen,   ///< a SYN after the end: the flow is over, and the segment is to be treated as if there were none
  invalid,  ///< to be dropped, for `TcpResult::reason`. Nothing changed
};

struct alignas(4) TcpResult {
  TcpOutcome outcome = TcpOutcome::accept;
  Reason reason = Reason::none;  ///< set for `invalid`
  bool refresh = false;          ///< the flow's deadline becomes now + tcp_timeout()

  bool operator==(const TcpResult&) const = default;
};

/// Whether the segment may open a flow: a SYN without ACK.
bool tcp_may_open(const TcpSegment& segment);
/// The connection that a first segment, for which tcp_may_open() holds, opens in the original direction.
TcpTrack tcp_open(const TcpSegment& syn);

/// Whether the segment may be the first that is seen of a connection in progress: an ACK without SYN, FIN or RST.
bool tcp_may_pick_up(const TcpSegment& segment);
/// A connection joined mid-stream by such a segment. Liberal until both sides were heard.
TcpTrack tcp_pick_up(const TcpSegment& segment, Direction direction);

/// Judges a further segment of the connection, and follows it.
TcpResult tcp_track(TcpTrack& track, Direction direction, const TcpSegment& segment);

/// Whether a track found in a record of another process can be used at all.
bool tcp_is_sound(const TcpTrack& track);
/// To be called when a track is adopted from another process: segments may have passed that it does not know of.
/// Liberal until both sides were heard again.
void tcp_make_liberal(TcpTrack& track);
/// Whether windows are not checked for now.
bool tcp_is_liberal(const TcpTrack& track);

/// How long the connection is kept when nothing more is heard of it.
Duration tcp_timeout(const TcpTrack& track, const Timeouts& timeouts);

/// A connection picked up in its middle of which one side was never heard.
inline bool tcp_is_one_sided(const TcpTrack& track) {
  return track.has(TcpTrack::kPickedUp) && !tcp_is_closed(track.state) &&
         !(track.peers[0].was_heard() && track.peers[1].was_heard());
}

/// As tcp_is_half_open(TcpState), and one that is one-sided: neither is known to have two ends.
bool tcp_is_half_open(const TcpTrack& track);

/// Whether data of that side which begins at `sequence` may be on its way: sent, and not acknowledged yet.
bool tcp_in_flight(const TcpTrack& track, Direction sender, std::uint32_t sequence);

/// What the side expects next, as far as its acknowledgements tell: a RST must bear that number (RFC 5961 §3.2). None
/// where the connection is not set up on both sides, or over.
std::optional<std::uint32_t> tcp_expected_by(const TcpTrack& track, Direction side);

/// Whether the reply side closed first, or both at once, and so may hold the connection in TIME_WAIT.
bool tcp_closed_by_reply_first(const TcpTrack& track);

/// Whether a SYN from the same endpoint may take the place of a closed connection although the reply side closed first:
/// in TIME_WAIT that side accepts it when its timestamp exceeds the last one; without timestamps, or with the same,
/// when its sequence number exceeds all that were sent (RFC 6191 §2, RFC 1122 §4.2.2.13).
bool tcp_syn_exceeds(const TcpTrack& old, const TcpSegment& syn);

}  // namespace vipgate
