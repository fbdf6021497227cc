#pragma once

#include <cstddef>
#include <cstdint>

#include "flow/direction.h"
#include "flow/tcp_states.h"

// The state machine of an observer between two TCPs.

namespace vipgate {

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

namespace tcp_steps {

using enum TcpState;

constexpr TcpStep go(TcpState next) {
  return {TcpStep::What::go, next};
}

// The columns of the table below.
constexpr TcpStep kSS = go(syn_sent);
constexpr TcpStep kSR = go(syn_recv);
constexpr TcpStep kES = go(established);
constexpr TcpStep kFW = go(fin_wait);
constexpr TcpStep kCW = go(close_wait);
constexpr TcpStep kLA = go(last_ack);
constexpr TcpStep kTW = go(time_wait);
constexpr TcpStep kCL = go(close);
constexpr TcpStep kS2 = go(syn_sent2);
constexpr TcpStep kIg = {TcpStep::What::ignore, none};
constexpr TcpStep kRe = {TcpStep::What::reopen, none};
constexpr TcpStep kXX = {TcpStep::What::invalid, none};

// Direction, kind of segment, state. A FIN or RST needs no distinction of who sent it: both sides close alike. The
// original side opens with a SYN, so that its ACK before any SYN/ACK is nonsense; the reply side's may be a challenge
// ACK (RFC 5961 §4), or come from a connection that it never closed (RFC 9293 §3.5.1, half-open connections).
inline constexpr TcpStep kSteps[2][kTcpKindCount][kTcpStateCount] = {
    // clang-format off
    {   // none syn_sent syn_recv establ. fin_wait close_w. last_ack time_w. close syn_sent2
        {kSS,   kSS,     kIg,     kIg,    kIg,     kIg,     kIg,     kRe,    kRe,  kS2},  // SYN
        {kXX,   kXX,     kSR,     kXX,    kXX,     kXX,     kXX,     kXX,    kXX,  kSR},  // SYN/ACK
        {kXX,   kXX,     kFW,     kFW,    kLA,     kLA,     kLA,     kTW,    kCL,  kXX},  // FIN
        {kES,   kXX,     kES,     kES,    kCW,     kCW,     kTW,     kTW,    kCL,  kXX},  // ACK
        {kXX,   kCL,     kCL,     kCL,    kCL,     kCL,     kCL,     kCL,    kCL,  kCL},  // RST
    },
    {   // the reply direction
        {kXX,   kS2,     kXX,     kXX,    kXX,     kXX,     kXX,     kRe,    kXX,  kS2},  // SYN
        {kXX,   kSR,     kIg,     kIg,    kIg,     kIg,     kIg,     kIg,    kIg,  kSR},  // SYN/ACK
        {kXX,   kXX,     kFW,     kFW,    kLA,     kLA,     kLA,     kTW,    kCL,  kXX},  // FIN
        {kXX,   kIg,     kSR,     kES,    kCW,     kCW,     kTW,     kTW,    kCL,  kIg},  // ACK
        {kXX,   kCL,     kCL,     kCL,    kCL,     kCL,     kCL,     kCL,    kCL,  kCL},  // RST
    },
    // clang-format on
};

}  // namespace tcp_steps

constexpr TcpStep tcp_step(Direction direction, TcpKind kind, TcpState state) {
  return tcp_steps::kSteps[static_cast<std::size_t>(direction)][static_cast<std::size_t>(kind)]
                          [static_cast<std::size_t>(state)];
}

}  // namespace vipgate
