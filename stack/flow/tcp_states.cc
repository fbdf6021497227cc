#include "flow/tcp_states.h"

namespace vipgate {
namespace {

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
constexpr TcpStep kSteps[2][kTcpKindCount][kTcpStateCount] = {
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

}  // namespace

TcpStep tcp_step(Direction direction, TcpKind kind, TcpState state) {
  return kSteps[static_cast<std::size_t>(direction)][static_cast<std::size_t>(kind)][static_cast<std::size_t>(state)];
}

Duration tcp_timeout(TcpState state, const Timeouts& timeouts) {
  switch (state) {
    case none:
      break;
    case syn_sent:
    case syn_sent2:
      return timeouts.syn_sent;
    case syn_recv:
      return timeouts.syn_recv;
    case established:
      return timeouts.established;
    case fin_wait:
      return timeouts.fin_wait;
    case close_wait:
      return timeouts.close_wait;
    case last_ack:
      return timeouts.last_ack;
    case time_wait:
      return timeouts.time_wait;
    case close:
      return timeouts.close;
  }
  return Duration::zero();
}

std::string_view name_of(TcpState state) {
  constexpr std::string_view kNames[kTcpStateCount] = {"none",     "syn_sent",   "syn_recv", "established",
                                                       "fin_wait", "close_wait", "last_ack", "time_wait",
                                                       "close",    "syn_sent2"};
  return kNames[static_cast<std::size_t>(state)];
}

}  // namespace vipgate
