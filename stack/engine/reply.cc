#include "engine/state.h"

// Packets that the engine makes itself, and packets that are none of its business.

namespace vipgate {

Verdict Engine::State::answer_ping(Transit& transit, Time now, PacketSink& sink) {
  if (transit.view.icmp.type() != icmp::kEchoRequest) return drop(Reason::icmp_type, transit.shard);
  if (!rules->answers_ping(transit.destination.vip)) return drop(Reason::ping_disabled, transit.shard);
  if (!answers.allow(now)) return drop(Reason::rate_limited, transit.shard);
  turn_into_echo_reply(*transit.packet, transit.view);
  send_as_it_came(*transit.packet, sink);
  return {.action = Action::reply, .shard = transit.shard};
}

/// Tells the sender that nobody serves this: RST for TCP, port unreachable for UDP.
Verdict Engine::State::reject(const Transit& transit, Reason reason, Unmatched how, Time now, PacketSink& sink) {
  if (how == Unmatched::drop) return drop(reason, transit.shard);
  const auto packet = transit.view.protocol == Protocol::tcp
                          ? make_reset(transit.view, answer_buffer)
                          : make_error(transit.view.ip, icmp::kUnreachable, icmp::kPortUnreachable, answer_buffer);
  if (!packet) return drop(reason, transit.shard);
  if (!answers.allow(now)) return drop(Reason::rate_limited, transit.shard);
  sink.send(*packet);
  return {.action = Action::reply, .reason = reason, .shard = transit.shard};
}

/// Tells the sender that there is no room (RFC 5508 REQ-8).
Verdict Engine::State::refuse(const Transit& transit, Reason reason, Time now, PacketSink& sink) {
  const auto packet = make_error(transit.view.ip, icmp::kUnreachable, icmp::kAdministrativelyProhibited, answer_buffer);
  if (!packet || !answers.allow(now)) return drop(reason, transit.shard);
  sink.send(*packet);
  return {.action = Action::reply, .reason = reason, .shard = transit.shard};
}

/// A packet of no flow that is not for one of our addresses, or an error for a VIP. A shared VIP's is the host's: it is
/// told of its own flows. What the policy rules brought here along with our flows'
/// packets goes on unchanged; what goes to our subnets must not, since it would come back at once, nor what egress
/// would have to hide.
Verdict Engine::State::stray(const Transit& transit, Reason reason) const {
  const Tuple& tuple = transit.tuple;
  if (is_shared(transit.view.ip.destination())) return {.action = Action::pass, .shard = transit.shard};
  const bool brought_along = transit.source.preserve_backend || rules->has_egress(tuple.source) ||
                             transit.view.protocol == Protocol::icmp;  // of any router, and so of any host
  if (!brought_along || rules->owns(tuple.destination)) return drop(reason, transit.shard);
  if (rules->find_egress(tuple.source, tuple.destination) != nullptr) return drop(reason, transit.shard);
  return {.action = Action::pass, .shard = transit.shard};
}

/// Resets both ends of a connection that is set up (RFC 5382 REQ-5 allows it to be forgotten; that its ends learn it at
/// once spares them the wait). Returns whether there was one.
bool Engine::State::reset_both(std::uint8_t shard, const FlowRecord& flow, PacketSink& sink) {
  if (flow.protocol != Protocol::tcp || is_pseudo(flow)) return false;
  bool sent = false;
  for (const Direction to : {Direction::original, Direction::reply}) {
    auto expected = tcp_expected_by(flow.tcp, to);
    if (!expected) continue;
    if (const HelperRecord* helper = helper_of(shard, flow)) {
      *expected = ftp_sequence_for_receiver(helper->ftp, opposite(to), *expected);
    }
    const Tuple& tuple = to == Direction::original ? flow.original : flow.reply;
    sink.send(make_final_reset(tuple.reversed(), *expected, answer_buffer));
    sent = true;
  }
  return sent;
}

}  // namespace vipgate
