#include "vipgate/engine.h"

#include <algorithm>
#include <utility>

#include "engine/shard_memory.h"
#include "engine/state.h"
#include "flow/flow_policy.h"

// The one place that joins wire, flow and nat: what an embedder calls, and what all stations share.

namespace vipgate {
namespace {

/// Answers of our own, per worker (Linux: icmp_msgs_per_sec). RFC 1812 §4.3.2.8 wants a limit and leaves the rate open.
constexpr std::int64_t kAnswersPerSecond = 1000;
constexpr std::int64_t kAnswerBurst = 1000;

/// Records looked at in one call of `run`: for expiry in each shard, and for a new ruleset in all.
constexpr std::size_t kExpiryPerRun = 4096;
constexpr std::size_t kSweepPerRun = 4096;

}  // namespace

void Counters::add(const Counters& other) {
  for (std::size_t i = 0; i < actions.size(); ++i) actions[i] += other.actions[i];
  for (std::size_t i = 0; i < reasons.size(); ++i) reasons[i] += other.reasons[i];
  flows_opened += other.flows_opened;
  flows_expired += other.flows_expired;
  flows_evicted += other.flows_evicted;
  flows_revoked += other.flows_revoked;
  datagrams_expired += other.datagrams_expired;
  data_connections_announced += other.data_connections_announced;
  data_connections_refused += other.data_connections_refused;
}

Engine::State::State(const EngineOptions& engine_options, std::shared_ptr<const Ruleset> first_ruleset)
    : options(engine_options),
      rules(std::move(first_ruleset)),
      sharding(options.seed),
      port_hash(options.seed ^ 0x504f5254),
      answers(kAnswersPerSecond, kAnswerBurst) {
  shards.reserve(kShards / options.workers + 1);
  for (std::uint32_t shard = options.worker; shard < kShards; shard += options.workers) {
    const ShardMemory memory = memory_of_shard(options.memory, shard);
    shards.push_back(
        {FlowTable(memory.records, memory.index, KeyedHash(options.seed)), Reassembly(), HelperPool(memory.helpers)});
  }
}

Duration Engine::State::flow_timeout(const FlowRecord& flow) const {
  const bool has_service = flow.service != Verdict::kNoService;
  const auto idle = has_service ? rules->service(flow.service).service->idle_timeout : std::nullopt;
  return timeout_of(flow, rules->rules().timeouts, idle);
}

void Engine::State::count(const Verdict& verdict) {
  ++counters.actions[static_cast<std::size_t>(verdict.action)];
  if (verdict.reason != Reason::none) ++counters.reasons[static_cast<std::size_t>(verdict.reason)];
}

/// What the backends' packets come to. The counters are shared by all workers, so those of a call are added up first.
void Engine::State::count_traffic(std::span<const Packet> packets, std::span<const Verdict> verdicts) const {
  struct Sum {
    std::uint16_t service = Verdict::kNoService;
    std::uint16_t backend = 0;
    std::array<Traffic, 2> traffic{};
  };
  std::array<Sum, 4> sums;
  const auto add_up = [&](Sum& sum) {
    if (sum.service == Verdict::kNoService) return;
    BackendLoad& load = *rules->service(sum.service).loads[sum.backend];
    if (sum.traffic[0].packets > 0) load.note_to_backend(sum.traffic[0]);
    if (sum.traffic[1].packets > 0) load.note_from_backend(sum.traffic[1]);
    sum = {};
  };
  for (std::size_t i = 0; i < packets.size(); ++i) {
    const Verdict& verdict = verdicts[i];
    if (verdict.action != Action::forward || verdict.service == Verdict::kNoService) continue;
    Sum& sum = sums[(std::size_t{verdict.service} + verdict.backend) % sums.size()];
    if (sum.service != verdict.service || sum.backend != verdict.backend) {
      add_up(sum);
      sum.service = verdict.service;
      sum.backend = verdict.backend;
    }
    Traffic& traffic = sum.traffic[verdict.is_reply ? 1 : 0];
    ++traffic.packets;
    traffic.bytes += packets[i].bytes.size();
  }
  for (Sum& sum : sums) add_up(sum);
}

Engine::Engine(const EngineOptions& options, std::shared_ptr<const Ruleset> ruleset)
    : state_(std::make_unique<State>(options, std::move(ruleset))) {}

Engine::~Engine() = default;

void Engine::process(std::span<Packet> packets, std::span<Verdict> verdicts, Time now, PacketSink& sink) {
  if (state_->handed_out_datagrams) {
    for (Shard& shard : state_->shards) shard.fragments.release();
    state_->handed_out_datagrams = false;
  }
  std::array<bool, kMaxBatch> on_the_way;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    const auto verdict = state_->arrive(packets[i], state_->transits[i], now);
    on_the_way[i] = !verdict;
    if (verdict) verdicts[i] = *verdict;
  }
  for (std::size_t i = 0; i < packets.size(); ++i) {
    if (on_the_way[i]) state_->look_ahead(state_->transits[i]);
  }
  for (std::size_t i = 0; i < packets.size(); ++i) {
    if (on_the_way[i]) verdicts[i] = state_->decide(state_->transits[i], now, sink);
    state_->count(verdicts[i]);
  }
  state_->count_traffic(packets, verdicts);
}

Time Engine::run(Time now, PacketSink& sink) {
  Time next = Time::max();
  for (std::uint32_t shard = state_->options.worker; shard < kShards; shard += state_->options.workers) {
    const auto number = static_cast<std::uint8_t>(shard);
    state_->expire(number, now, kExpiryPerRun, sink);
    const Shard& part = state_->shard_at(number);
    next = std::min({next, part.flows.next_tick(), part.fragments.next_expiry()});
  }
  state_->sweep(kSweepPerRun, sink);
  return state_->is_swept() ? next : now;
}

void Engine::set_ruleset(std::shared_ptr<const Ruleset> ruleset) {
  state_->older_rules.push_back(std::exchange(state_->rules, std::move(ruleset)));
  for (Shard& shard : state_->shards) {
    if (shard.swept != kNoFlow) continue;
    shard.swept = 0;
    shard.round = state_->rules->generation();
  }
}

const Ruleset& Engine::ruleset() const {
  return *state_->rules;
}

const Counters& Engine::counters() const {
  return state_->counters;
}

std::size_t Engine::flow_count() const {
  std::size_t count = 0;
  for (const Shard& shard : state_->shards) count += shard.flows.size();
  return count;
}

}  // namespace vipgate
