#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include "flow/direction.h"
#include "flow/stream_edits.h"
#include "flow/tcp_tracker.h"
#include "nat/ftp_lines.h"
#include "vipgate/packet.h"
#include "wire/packet_view.h"

namespace vipgate {

// The helper for FTP control connections. For each packet of a flow that has it, in this order:
//
//     TcpSegment segment = TcpSegment::of(view.tcp);
//     ftp_restore(state, direction, segment);            // what it acknowledges, in the other side's numbers
//     const TcpResult result = tcp_track(track, direction, segment);
//     … dropped, if invalid …
//     ftp_translate(state, direction, packet, view, result.outcome, names, expecter);
//     … addresses and ports …

/// The extension record of a control connection. Plain data without pointers: it lives in memory that another process
/// may adopt. All zeros is a connection of which nothing was seen yet.
struct FtpState {
  static constexpr std::uint8_t kSecured = 1;  ///< all is encrypted: nothing more is read
  static constexpr std::uint8_t kBegun = 2;    ///< the original side's numbers are known
  // kBegun << 1: the reply side's

  std::array<StreamEdits, 2> edits;  ///< by Direction, of what that side sends
  std::array<FtpLine, 2> lines;
  std::uint8_t flags = 0;  ///< of the constants above
  std::array<std::uint8_t, 5> reserved{};

  StreamEdits& edits_of(Direction direction) { return edits[static_cast<std::size_t>(direction)]; }
  const StreamEdits& edits_of(Direction direction) const { return edits[static_cast<std::size_t>(direction)]; }
  FtpLine& line_of(Direction direction) { return lines[static_cast<std::size_t>(direction)]; }
};
static_assert(sizeof(FtpState) <= 512 && alignof(FtpState) == 4);
static_assert(std::is_trivially_copyable_v<FtpState> && std::has_unique_object_representations_v<FtpState>);

/// Whether a state found in a record of another process can be used at all.
bool ftp_is_sound(const FtpState& state);

/// Bytes by which a segment grows at most: so much smaller has to be the MSS that the ends offer each other. What would
/// grow more loses its tail, which its sender sends again.
inline constexpr std::size_t kFtpGrowth = 64;
static_assert(kFtpGrowth >= StreamEdit::kMaxText && StreamEdits::kRoom + kFtpGrowth <= kSpareRoom);

/// Begins where both sides' first lines are still to come, with these sequence numbers. A connection that is joined
/// later begins by itself.
void ftp_open(FtpState& state, std::uint32_t original_next, std::uint32_t reply_next);

/// Gives the acknowledgement, and the highest SACK edge, the numbers of the side that is acknowledged.
void ftp_restore(const FtpState& state, Direction direction, TcpSegment& segment);

struct FtpVerdict {
  Reason drop = Reason::none;  ///< else: forward. helper_busy: its sender will send it again
  std::uint8_t announced = 0;  ///< data connections expected from now on
  std::uint8_t refused = 0;    ///< lines that asked for one in vain
};

/// Reads a segment that the tracker let pass, with `outcome`, and makes of it, in place, what its receiver must see but
/// for addresses and ports: payload, sequence number, acknowledgement, SACK blocks, urgent pointer, lengths. Checksums
/// stay as right or wrong as they were. `packet.bytes` may become longer or shorter; the view stays valid for
/// rewrite().
///
/// A segment behind one that was lost before it came here is dropped, so that lines are read without holes.
FtpVerdict ftp_translate(FtpState& state, Direction direction, Packet& packet, const PacketView& view,
                         TcpOutcome outcome, const FtpNames& names, DataExpecter& expecter);

/// What the receiver of `direction` calls that side's sequence number: for segments that we send in its name.
inline std::uint32_t ftp_sequence_for_receiver(const FtpState& state, Direction direction, std::uint32_t sequence) {
  return state.edits_of(direction).to_receiver(sequence);
}
/// What the sender of `direction` calls a sequence number that its receiver has seen: for ICMP errors that quote it.
inline std::uint32_t ftp_sequence_for_sender(const FtpState& state, Direction direction, std::uint32_t sequence) {
  return state.edits_of(direction).to_sender(sequence);
}

}  // namespace vipgate
