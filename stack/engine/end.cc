#include <algorithm>

#include "engine/state.h"
#include "nat/egress.h"
#include "nat/revalidate.h"

// Flows end: by silence, for want of room, because the rules have changed, or because somebody says so.

namespace vipgate {

/// is_allowed() for a flow that other rules have allowed last.
bool Engine::State::is_allowed_anew(FlowRecord& flow) const {
  BackendLoad* const load_before = backend_load(flow);
  if (!revalidate(*rules, flow)) return false;
  if (is_counted(flow) && flow.flow_class == FlowClass::live) rules->load().add(flow.service, client_hash(flow));
  BackendLoad* const load = backend_load(flow);
  if (load != load_before && flow.flow_class != FlowClass::closed) {
    if (load_before != nullptr) load_before->remove_flow();
    load->add_flow();
  }
  return true;
}

/// A ruleset that flows may have been allowed by last; nullptr: none that we know.
const Ruleset* Engine::State::ruleset_of(std::uint32_t generation) const {
  if (generation == rules->generation()) return rules.get();
  const auto older = std::find_if(older_rules.begin(), older_rules.end(),
                                  [&](const auto& ruleset) { return ruleset->generation() == generation; });
  return older == older_rules.end() ? nullptr : older->get();
}

/// Where the flow counts, unless it is closed, as one of its backend's. nullptr: nowhere. It has no service, or we know
/// nothing of the rules that allowed it.
BackendLoad* Engine::State::backend_load(const FlowRecord& flow) const {
  if (flow.kind != FlowKind::service) return nullptr;
  const Ruleset* ruleset = ruleset_of(flow.generation);
  return ruleset == nullptr ? nullptr : ruleset->service(flow.service).loads[flow.backend].get();
}

/// Whether limits apply to the flow, once it is live.
bool Engine::State::is_counted(const FlowRecord& flow) const {
  return flow.kind == FlowKind::service && flow.generation == rules->generation() &&
         rules->load().is_limited(flow.service);
}

std::uint64_t Engine::State::client_hash(const FlowRecord& flow) const {
  return port_hash(flow.original.source.value(), flow.service);
}

/// Erases the flow and gives back what it holds.
void Engine::State::end(std::uint8_t shard, FlowId id) {
  FlowTable& flows = flows_of(shard);
  const FlowRecord& flow = flows[id];
  if (is_counted(flow) && flow.flow_class == FlowClass::live) rules->load().remove(flow.service, client_hash(flow));
  if (flow.flow_class != FlowClass::closed) {
    if (BackendLoad* load = backend_load(flow)) load->remove_flow();
  }
  dismiss_helper(shard, flow);
  if (flow.kind == FlowKind::egress) {
    // RFC 4787 REQ-1 asks for a mapping while it has sessions; RFC 7857 §4 for its end with the last.
    if (const auto mapping = flows.find(flow.protocol, mapping_of(flow.original.source_endpoint()))) {
      if (--flows[mapping.id].extension == 0) flows.erase(mapping.id);
    }
  }
  shard_at(shard).ports.flow_ends(flow.protocol, flow.reply);
  flows.erase(id);
}

/// Ends a flow that the present rules do not allow. Returns whether its two ends were told.
bool Engine::State::revoke(std::uint8_t shard, FlowId id, PacketSink& sink) {
  const bool told = reset_both(shard, flows_of(shard)[id], sink);
  end(shard, id);
  ++counters.flows_revoked;
  return told;
}

void Engine::State::expire(std::uint8_t shard, Time now, std::size_t budget, PacketSink& sink) {
  FlowTable& flows = flows_of(shard);
  const auto timeout = [this](FlowRecord& flow) { return is_allowed(flow) ? flow_timeout(flow) : Duration::zero(); };
  flows.expire(now, budget, timeout, [&](FlowId id) {
    if (flows[id].generation != rules->generation()) {
      revoke(shard, id, sink);
      return;
    }
    if (flows[id].protocol == Protocol::tcp && flows[id].tcp.state == TcpState::syn_sent) {
      if (BackendLoad* load = backend_load(flows[id])) load->note_unanswered();
    }
    reset_both(shard, flows[id], sink);
    end(shard, id);
    ++counters.flows_expired;
  });
  if (now < shard_at(shard).fragments.next_expiry()) return;
  counters.datagrams_expired += shard_at(shard).fragments.expire(now, [&](const Ipv4View& first) {
    // RFC 792 and RFC 1122 §3.3.2: only who got fragment zero can say what it was about.
    if (!rules->owns(first.destination())) return;
    const auto error = make_error(first, icmp::kTimeExceeded, icmp::kReassemblyTimeExceeded, answer_buffer);
    if (error && answers.allow(now)) sink.send(*error);
  });
}

/// Holds flows against the present rules, at most `budget`, one shard after the other: rulesets in quick succession
/// must not begin with the first one each time.
void Engine::State::sweep(std::size_t budget, PacketSink& sink) {
  for (std::size_t visited = 0; visited < shards.size(); ++visited) {
    budget -= sweep(static_cast<std::uint8_t>(options.worker + sweeping * options.workers), budget, sink);
    if (budget == 0) break;
    sweeping = (sweeping + 1) % shards.size();
  }
  forget_older_rulesets();
}

/// The same with one shard; returns how many records it has looked at.
std::size_t Engine::State::sweep(std::uint8_t shard, std::size_t budget, PacketSink& sink) {
  Shard& part = shard_at(shard);
  std::size_t looked_at = 0;
  for (; part.swept != kNoFlow && looked_at < budget; ++looked_at) {
    if (part.swept >= part.flows.used_records()) {
      part.oldest_allowed = part.round;
      part.swept = part.round == rules->generation() ? kNoFlow : 0;
      part.round = rules->generation();
      continue;
    }
    const FlowId id = part.swept++;
    FlowRecord& flow = part.flows[id];
    if (!flow.in_use()) continue;
    if (!is_allowed(flow)) revoke(shard, id, sink);
  }
  return looked_at;
}

bool Engine::State::is_swept() const {
  for (const Shard& shard : shards) {
    if (shard.swept != kNoFlow) return false;
  }
  return true;
}

void Engine::State::forget_older_rulesets() {
  if (older_rules.empty()) return;
  const auto oldest = std::min_element(
      shards.begin(), shards.end(), [](const Shard& a, const Shard& b) { return a.oldest_allowed < b.oldest_allowed; });
  std::erase_if(older_rules, [&](const auto& ruleset) { return ruleset->generation() < oldest->oldest_allowed; });
}

Engine::Ended Engine::end(std::uint64_t from, std::size_t budget, std::size_t most, Time now,
                          const std::function<bool(const FlowInfo&)>& chosen, PacketSink& sink) {
  Ended ended;
  ended.next = state_->walk(from, budget, [&](std::uint8_t shard, FlowId id) {
    const FlowRecord& flow = state_->flows_of(shard)[id];
    if (!chosen(state_->info_of(flow, shard, now))) return true;
    state_->reset_both(shard, flow, sink);
    state_->end(shard, id);
    ++state_->counters.flows_ended;
    return ++ended.flows < most;
  });
  return ended;
}

}  // namespace vipgate
