#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "flow/direction.h"
#include "vipgate/rules.h"
#include "vipgate/time.h"

namespace vipgate {

/// What an observer between two TCPs can know of their connection. Each state is named after the segment that led to
/// it.
enum class TcpState : std::uint8_t {
  none,         ///< nothing seen
  syn_sent,     ///< SYN
  syn_recv,     ///< SYN/ACK
  established,  ///< ACK of it
  fin_wait,     ///< one FIN
  close_wait,   ///< one FIN, and an ACK after it; lasts as long as a half-closed connection does
  last_ack,     ///< FINs of both sides
  time_wait,    ///< both FINs acknowledged
  close,        ///< RST
  syn_sent2,    ///< SYNs of both sides: simultaneous open
};
inline constexpr std::size_t kTcpStateCount = 10;

std::string_view name_of(TcpState state);  ///< as in the enum: "syn_sent"

/// What a segment is to the state machine.
enum class TcpKind : std::uint8_t { syn, syn_ack, fin, ack, rst };
inline constexpr std::size_t kTcpKindCount = 5;

/// What the state machine makes of a segment that is in the window.
struct TcpStep {
  enum class What : std::uint8_t {
    go,       ///< to `next`, which may be where we are
    ignore,   ///< may belong to a connection that we know less of than its ends do: pass it, believe nothing
    reopen,   ///< a SYN after the end: begins another connection
    invalid,  ///< no TCP sends it here
  };
  What what = What::invalid;
  TcpState next = TcpState::none;
};

/// How long a connection is kept in a state when nothing more is heard of it.
Duration tcp_timeout(TcpState state, const Timeouts& timeouts);

TcpStep tcp_step(Direction direction, TcpKind kind, TcpState state);

/// The connection is over: TIME_WAIT or CLOSE. Its record may go to a new flow.
constexpr bool tcp_is_closed(TcpState state) {
  return state == TcpState::time_wait || state == TcpState::close;
}

/// The three-way handshake has not been completed.
constexpr bool tcp_is_half_open(TcpState state) {
  return state == TcpState::syn_sent || state == TcpState::syn_recv || state == TcpState::syn_sent2;
}

}  // namespace vipgate
