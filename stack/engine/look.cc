#include <algorithm>

#include "engine/shard_memory.h"
#include "engine/state.h"
#include "nat/egress.h"
#include "nat/expectation.h"
#include "vipgate/flow_info.h"

// Flows are looked at from outside, and nothing of them changes.

namespace vipgate {
namespace {

constexpr std::uint32_t kRecordBits = 32;

FlowOrigin origin_of(FlowKind kind) {
  switch (kind) {
    case FlowKind::related:
      return FlowOrigin::related;
    case FlowKind::egress:
      return FlowOrigin::egress;
    default:
      return FlowOrigin::service;
  }
}

std::string_view state_of(const FlowRecord& flow) {
  if (flow.protocol == Protocol::tcp) return name_of(flow.tcp.state);
  return flow.answered != 0 ? "answered" : "unanswered";
}

/// Copies a record, with its helper's if it has one, to the first free places of memory that nobody else uses.
void copy_record(const FlowRecord& record, const ShardMemory& from, const ShardMemory& to) {
  const auto place = std::find_if(to.records.begin(), to.records.end(), [](const auto& one) { return !one.in_use(); });
  if (place == to.records.end()) return;
  *place = record;
  if (!record.has_extension()) return;
  const auto used = static_cast<std::size_t>(
      std::count_if(to.records.begin(), place, [](const FlowRecord& earlier) { return earlier.has_extension(); }));
  if (used == to.helpers.size()) {
    place->protocol = Protocol{0};
    return;
  }
  to.helpers[used] = from.helpers[record.extension - 1];
  place->extension = static_cast<std::uint32_t>(used + 1);
}

}  // namespace

std::string_view name_of(FlowOrigin origin) {
  switch (origin) {
    case FlowOrigin::service:
      return "service";
    case FlowOrigin::related:
      return "related";
    case FlowOrigin::egress:
      return "egress";
  }
  return "";
}

FlowInfo Engine::State::info_of(const FlowRecord& flow, std::uint8_t shard, Time now) const {
  FlowInfo info{.origin = origin_of(flow.kind),
                .protocol = flow.protocol,
                .source = flow.original.source_endpoint(),
                .destination = flow.original.destination_endpoint(),
                .translated_source = flow.reply.destination_endpoint(),
                .translated_destination = flow.reply.source_endpoint(),
                .state = state_of(flow),
                .idle = std::max(Duration{}, now - flow.last_seen),
                .shard = shard};
  const Ruleset* ruleset = flow.service == Verdict::kNoService ? nullptr : ruleset_of(flow.generation);
  std::optional<Duration> idle_timeout;
  if (ruleset != nullptr) {
    info.service = ruleset->service(flow.service).service;
    info.backend = &info.service->backends[flow.backend];
    idle_timeout = info.service->idle_timeout;
  }
  info.left = std::max(Duration{}, timeout_of(flow, rules->rules().timeouts, idle_timeout) - info.idle);
  return info;
}

/// Calls visit(shard, id) for flows in at most `budget` records from `from` on, until that returns false. Returns where
/// to go on; none: all were visited. A visited flow may end.
std::optional<std::uint64_t> Engine::State::walk(
    std::uint64_t from, std::size_t budget, const std::function<bool(std::uint8_t shard, FlowId id)>& visit) const {
  std::size_t place = from >> kRecordBits;
  auto id = static_cast<FlowId>(from);
  bool enough = false;
  for (; place < shards.size(); ++place, id = 0) {
    const auto shard = static_cast<std::uint8_t>(options.worker + place * options.workers);
    const FlowTable& flows = shards[place].flows;
    for (; id < flows.used_records(); ++id) {
      if (enough || budget-- == 0) return std::uint64_t{place} << kRecordBits | id;
      if (flows[id].in_use() && !is_pseudo(flows[id])) enough = !visit(shard, id);
    }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> Engine::list(std::uint64_t from, std::size_t budget, Time now,
                                          const std::function<void(const FlowInfo&)>& each) const {
  return state_->walk(from, budget, [&](std::uint8_t shard, FlowId id) {
    each(state_->info_of(state_->flows_of(shard)[id], shard, now));
    return true;
  });
}

void Engine::lend(Packet packet, Time now, const FlowMemory& to) const {
  const auto ip = Ipv4View::parse(packet.bytes);
  if (!ip || ip->is_fragment()) return;
  Transit transit;
  if (state_->arrive(packet, transit, now).action != Action::forward) return;
  const FlowTable& flows = state_->flows_of(transit.shard);
  const ShardMemory own = memory_of_shard(state_->options.memory, transit.shard);
  const ShardMemory theirs = memory_of_shard(to, transit.shard);
  const auto hit = flows.find(transit.protocol, transit.tuple);
  if (hit) copy_record(flows[hit.id], own, theirs);
  if (const auto expected = flows.find(transit.protocol, expectation_of(transit.tuple))) {
    copy_record(flows[expected.id], own, theirs);
  }
  if (hit && flows[hit.id].kind == FlowKind::egress) {
    const auto mapping = flows.find(transit.protocol, mapping_of(flows[hit.id].original.source_endpoint()));
    if (mapping) copy_record(flows[mapping.id], own, theirs);
  }
}

}  // namespace vipgate
