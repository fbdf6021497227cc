#include "flow/tcp_states.h"

namespace vipgate {

using enum TcpState;

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
