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

/// What the backends' packets of a call come to. Their counters are shared by all workers, so these are added up first.
class TrafficSums {
 public:
  explicit TrafficSums(const Ruleset& rules) : rules_(rules) {}
  ~TrafficSums() {
    for (const Sum& sum : sums_) hand_in(sum);
  }
  TrafficSums(const TrafficSums&) = delete;
  TrafficSums& operator=(const TrafficSums&) = delete;

  void add(const Verdict& verdict, std::size_t bytes) {
    if (verdict.action != Action::forward || verdict.service == Verdict::kNoService) return;
    Sum& sum = sums_[(std::size_t{verdict.service} + verdict.backend) % sums_.size()];
    if (sum.service != verdict.service || sum.backend != verdict.backend) {
      hand_in(sum);
      sum = {.service = verdict.service, .backend = verdict.backend, .traffic = {}};
    }
    Traffic& traffic = sum.traffic[verdict.is_reply ? 1 : 0];
    ++traffic.packets;
    traffic.bytes += bytes;
  }

 private:
  struct Sum {
    std::uint16_t service = Verdict::kNoService;
    std::uint16_t backend = 0;
    std::array<Traffic, 2> traffic{};
  };

  void hand_in(const Sum& sum) const {
    if (sum.service == Verdict::kNoService) return;
    BackendLoad& load = *rules_.service(sum.service).loads[sum.backend];
    if (sum.traffic[0].packets > 0) load.note_to_backend(sum.traffic[0]);
    if (sum.traffic[1].packets > 0) load.note_from_backend(sum.traffic[1]);
  }

  const Ruleset& rules_;
  std::array<Sum, 4> sums_;
};

}  // namespace

void Counters::add(const Counters& other) {
  for (std::size_t i = 0; i < actions.size(); ++i) actions[i] += other.actions[i];
  for (std::size_t i = 0; i < reasons.size(); ++i) reasons[i] += other.reasons[i];
  flows_opened += other.flows_opened;
  flows_expired += other.flows_expired;
  flows_evicted += other.flows_evicted;
  flows_revoked += other.flows_revoked;
  flows_ended += other.flows_ended;
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
    shards.push_back({FlowTable(memory.records, memory.index, KeyedHash(options.seed)),
                      Reassembly(),
                      HelperPool(memory.helpers),
                      {}});
    shard_by_number[shard] = &shards.back();
  }
}

Duration Engine::State::flow_timeout(const FlowRecord& flow) const {
  const bool has_service = flow.service != Verdict::kNoService;
  const auto idle = has_service ? rules->service(flow.service).service->idle_timeout : std::nullopt;
  return timeout_of(flow, rules->rules().timeouts, idle);
}

Engine::Engine(const EngineOptions& options, std::shared_ptr<const Ruleset> ruleset)
    : state_(std::make_unique<State>(options, std::move(ruleset))) {}

Engine::~Engine() = default;

void Engine::process(std::span<Packet> packets, std::span<Verdict> verdicts, Time now, PacketSink& sink) {
  if (state_->handed_out_datagrams) {
    for (Shard& shard : state_->shards) shard.fragments.release();
    state_->handed_out_datagrams = false;
  }
  const auto goes_on = [&](std::size_t i) { return verdicts[i].action == Action::forward; };
  for (std::size_t i = 0; i < packets.size(); ++i) {
    verdicts[i] = state_->arrive(packets[i], state_->transits[i], now);
  }
  for (std::size_t i = 0; i < packets.size(); ++i) {
    if (goes_on(i)) state_->look_ahead(state_->transits[i]);
  }
  TrafficSums traffic(*state_->rules);
  for (std::size_t i = 0; i < packets.size(); ++i) {
    state_->deciding = i;
    if (goes_on(i)) verdicts[i] = state_->decide(state_->transits[i], now, sink);
    state_->count(verdicts[i]);
    traffic.add(verdicts[i], packets[i].bytes.size());
  }
}

std::size_t Engine::deciding() const {
  return state_->deciding;
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
