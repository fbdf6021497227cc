#include <limits>

#include "engine/state.h"
#include "nat/mss.h"
#include "nat/rewrite.h"

// Packets of known flows.

namespace vipgate {
namespace {

/// Flows looked at for expiry on the way of one packet.
constexpr std::size_t kExpiryPerPacket = 2;

/// RFC 792: the network, the host or the port cannot be reached. What asks for smaller packets says that it can.
bool says_unreachable(const IcmpView& error) {
  return error.type() == icmp::kUnreachable && error.code() != icmp::kFragmentationNeeded;
}

bool refreshes(const FlowRecord& flow, Direction direction) {
  // RFC 4787 REQ-6: what comes from inside refreshes; whether what comes from outside does, is ours to say. RFC 7857
  // §7: it shall not keep a private host's mapping.
  return flow.kind != FlowKind::egress || direction == Direction::original;
}

}  // namespace

Verdict Engine::State::decide(Transit& transit, Time now, PacketSink& sink) {
  FlowTable& flows = flows_of(transit.shard);
  if (now >= flows.next_tick()) expire(transit.shard, now, kExpiryPerPacket, sink);
  if (transit.protocol == Protocol::icmp && !transit.quoted && !transit.view.icmp.is_query()) {
    return begin(transit, now, sink);
  }
  const auto hit = flows.find(transit.protocol, transit.tuple, transit.hash, transit.probably);
  if (transit.quoted) return hit ? follow_error(transit, hit) : stray(transit, Reason::icmp_embedded);
  return hit ? follow(transit, hit, now, sink) : begin(transit, now, sink);
}

/// An ICMP error about a packet of a known flow. It neither refreshes nor ends the flow (RFC 5508 REQ-6, RFC 5382
/// REQ-10).
Verdict Engine::State::follow_error(Transit& transit, FlowHit hit) {
  FlowRecord& flow = flows_of(transit.shard)[hit.id];
  if (!is_allowed(flow)) return stray(transit, Reason::icmp_embedded);
  if (const HelperRecord* helper = helper_of(transit.shard, flow)) {
    QuotedPacket& quoted = *transit.quoted;
    quoted.sequence = ftp_sequence_for_sender(helper->ftp, opposite(hit.direction), quoted.sequence);
  }
  const Reason objection = objection_to(transit.view, *transit.quoted, flow, hit.direction);
  if (objection != Reason::none) return drop(objection, transit.shard);
  if (hit.direction == Direction::reply && says_unreachable(transit.view.icmp)) {
    if (BackendLoad* load = backend_load(flow)) load->note_refused();
  }
  translate_error(*transit.packet, transit.view, *transit.quoted, flow, hit.direction);
  return forward(flow, transit.shard, hit.direction);
}

/// A packet of a known flow.
Verdict Engine::State::follow(Transit& transit, FlowHit hit, Time now, PacketSink& sink) {
  FlowRecord& flow = flows_of(transit.shard)[hit.id];
  if (!is_allowed(flow)) {
    const bool told = revoke(transit.shard, hit.id, sink);
    return told ? Verdict{.action = Action::reply, .reason = Reason::revoked, .shard = transit.shard}
                : begin(transit, now, sink);
  }
  const FlowStanding standing_before = standing_of(flow);
  bool refresh = refreshes(flow, hit.direction);
  TcpOutcome outcome = TcpOutcome::accept;
  if (flow.protocol == Protocol::tcp) {
    TcpSegment segment = TcpSegment::of(transit.view.tcp);
    if (flow.has_extension()) ftp_restore(helper_of(transit.shard, flow)->ftp, hit.direction, segment);
    const bool unanswered = flow.tcp.state == TcpState::syn_sent;
    const TcpResult result = tcp_track(flow.tcp, hit.direction, segment);
    if (result.outcome == TcpOutcome::invalid) return drop(result.reason, transit.shard);
    if (result.outcome == TcpOutcome::reopen) {
      // The old flow stays until then: it knows whether its source port may be used again.
      transit.reopens = true;
      return begin(transit, now, sink);
    }
    refresh = result.refresh;
    outcome = result.outcome;
    if (unanswered) note_signs(flow, hit.direction, segment);
  } else if (hit.direction == Direction::reply) {
    flow.answered = 1;
  }
  if (refresh) flow.last_seen = now;
  const Reason objection = standing_of(flow) == standing_before ? Reason::none : reclassify(transit, hit);
  if (objection != Reason::none) {
    reset_both(transit.shard, flow, sink);
    end(transit.shard, hit.id);
    return drop(objection, transit.shard);
  }
  if (flow.has_extension()) {
    const Reason wait = help(transit, flow, hit.direction, outcome, now);
    if (wait != Reason::none) return drop(wait, transit.shard);
  }
  if (transit.protocol == Protocol::tcp && transit.view.tcp.has(tcp::kSyn)) lower_mss_of(flow, transit);
  const Tuple& other = hit.direction == Direction::original ? flow.reply : flow.original;
  rewrite(*transit.packet, transit.view, other.reversed());
  return forward(flow, transit.shard, hit.direction);
}

/// What a segment of a connection whose SYN was not answered before it says of the backend.
void Engine::State::note_signs(const FlowRecord& flow, Direction direction, const TcpSegment& segment) const {
  const bool again = direction == Direction::original && flow.tcp.state == TcpState::syn_sent && tcp_may_open(segment);
  const bool refused = direction == Direction::reply && flow.tcp.state == TcpState::close;
  if (!again && !refused) return;
  BackendLoad* load = backend_load(flow);
  if (load == nullptr) return;
  again ? load->note_unanswered() : load->note_refused();
}

/// Puts the flow where it belongs by its new state. A flow that goes live gets its helper, and takes its place among
/// those that limits count; returns what objects.
Reason Engine::State::reclassify(const Transit& transit, FlowHit hit) {
  FlowTable& flows = flows_of(transit.shard);
  FlowRecord& flow = flows[hit.id];
  const FlowClass before = flow.flow_class;
  const FlowClass now = class_of(flow);
  if (now != before) {
    if (now == FlowClass::live && !summon_helper(transit, flow, hit.direction)) return Reason::table_full;
    if (is_counted(flow)) {
      ServiceLoad& load = rules->load();
      if (now == FlowClass::live) {
        // Others may have gone live since it was let in.
        const Reason objection = load.objection(flow.service, client_hash(flow));
        if (objection != Reason::none) return objection;
        load.add(flow.service, client_hash(flow));
      } else if (before == FlowClass::live) {
        load.remove(flow.service, client_hash(flow));
      }
    }
    if (BackendLoad* load = backend_load(flow)) {
      if (now == FlowClass::closed) load->remove_flow();
      if (before == FlowClass::closed) load->add_flow();
    }
  }
  flows.update(hit.id, now, flow_timeout(flow));
  return Reason::none;
}

/// Of a SYN or SYN/ACK.
void Engine::State::lower_mss_of(const FlowRecord& flow, Transit& transit) const {
  if (flow.kind != FlowKind::service) return;
  const Service& service = *rules->service(flow.service).service;
  const std::uint16_t margin = service.helper == Helper::none ? 0 : kFtpGrowth;
  if (!service.mss && margin == 0) return;
  lower_mss(*transit.packet, transit.view, service.mss.value_or(std::numeric_limits<std::uint16_t>::max()), margin);
}

}  // namespace vipgate
