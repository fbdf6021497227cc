#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

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

/// How long a connection is kept in a state when nothing more is heard of it.
Duration tcp_timeout(TcpState state, const Timeouts& timeouts);

/// The connection is over: TIME_WAIT or CLOSE. Its record may go to a new flow.
constexpr bool tcp_is_closed(TcpState state) {
  return state == TcpState::time_wait || state == TcpState::close;
}

/// The three-way handshake has not been completed.
constexpr bool tcp_is_half_open(TcpState state) {
  return state == TcpState::syn_sent || state == TcpState::syn_recv || state == TcpState::syn_sent2;
}

}  // namespace vipgate
