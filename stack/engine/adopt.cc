#include "engine/state.h"
#include "nat/egress.h"

// Flows of an earlier process go on. What its records say of themselves was judged (flow/adoption.h); here it is what
// they say of each other: helpers' records have one owner, and mappings as many flows as they count.

namespace vipgate {
namespace {

/// The timeout by which the wheel looks at the flow first. The flow's own is known when the ruleset has allowed it.
Duration first_look(const FlowRecord& flow, const Timeouts& timeouts) {
  return timeout_of(flow, timeouts, std::nullopt);
}

/// Counts an egress flow at its mapping, which is made anew where it is broken. False: another host has the port.
bool count_at_mapping(FlowTable& flows, const FlowRecord& flow, Time now) {
  const Endpoint host = flow.original.source_endpoint();
  const Endpoint outside = flow.reply.destination_endpoint();
  if (const auto known = flows.find(flow.protocol, mapping_of(host))) {
    FlowRecord& mapping = flows[known.id];
    if (mapping.reply != mapping_at(outside)) return false;
    ++mapping.extension;
    return true;
  }
  if (flows.is_full() || flows.find(flow.protocol, mapping_at(outside))) return false;
  FlowRecord mapping = make_mapping(flow.protocol, host, outside, now);
  mapping.extension = 1;
  flows.insert(mapping, kMappingLook);
  return true;
}

}  // namespace

Adoption Engine::State::adopt(Shard& shard, Time now, Found found) {
  FlowTable& flows = shard.flows;
  bool has_egress = false;
  FlowTable::Adopted adopted = flows.adopt(
      now,
      [&](FlowRecord& flow) -> std::optional<Duration> {
        if (flow.has_extension()) {
          const HelperRecord* helper = shard.helpers.claim(flow.extension, flow.seal);
          // Without its record, a control connection would go on with the wrong sequence numbers.
          if (helper == nullptr || !ftp_is_sound(helper->ftp)) return std::nullopt;
        }
        if (flow.kind == FlowKind::mapping) flow.extension = 0;
        has_egress = has_egress || flow.kind == FlowKind::egress || flow.kind == FlowKind::mapping;
        return first_look(flow, rules->rules().timeouts);
      },
      found);
  shard.helpers.list_free();
  shard.swept = 0;
  shard.round = rules->generation();
  if (has_egress) {
    for (FlowId id = 0; id < flows.used_records(); ++id) {
      if (!flows[id].in_use() || flows[id].kind != FlowKind::egress || count_at_mapping(flows, flows[id], now))
        continue;
      flows.erase(id);
      --adopted.flows;
      ++adopted.broken;
    }
    for (FlowId id = 0; id < flows.used_records(); ++id) {
      // A kill came between a mapping and its first flow, or its last one and its end.
      if (flows[id].in_use() && flows[id].kind == FlowKind::mapping && flows[id].extension == 0) flows.erase(id);
    }
  }
  return {.flows = flows.size(), .broken = adopted.broken};
}

void Adoption::add(const Adoption& other) {
  flows += other.flows;
  broken += other.broken;
}

Adoption Engine::adopt(Time now, Found found) {
  Adoption sum;
  for (Shard& shard : state_->shards) {
    sum.add(state_->adopt(shard, now, found));
  }
  return sum;
}

}  // namespace vipgate
