#include "vipgate/engine.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "flow/flow_policy.h"
#include "flow/flow_table.h"
#include "nat/answer.h"
#include "nat/icmp_error.h"
#include "nat/rate_limiter.h"
#include "nat/revalidate.h"
#include "nat/rewrite.h"
#include "nat/ruleset.h"
#include "nat/shard.h"
#include "nat/source_port.h"
#include "wire/packet_view.h"

namespace vipgate {
namespace {

/// Answers of our own, per worker (Linux: icmp_msgs_per_sec). RFC 1812 §4.3.2.8 wants a limit and leaves the rate open.
constexpr std::int64_t kAnswersPerSecond = 1000;
constexpr std::int64_t kAnswerBurst = 1000;

/// Flows looked at for expiry on the way of one packet, and in one call of `run`.
constexpr std::size_t kExpiryPerPacket = 2;
constexpr std::size_t kExpiryPerRun = 4096;

/// Addresses that are never a sender (RFC 1812 §5.3.7): this network, loopback, multicast, reserved and broadcast.
bool is_martian(Ipv4Address address) {
  const std::uint32_t first_octet = address.value() >> 24;
  return first_octet == 0 || first_octet == 127 || first_octet >= 224;
}

constexpr std::size_t per_shard(std::size_t capacity) {
  return capacity / kShards;
}

Verdict drop(Reason reason, std::uint8_t shard = 0) {
  return {.action = Action::drop, .reason = reason, .shard = shard};
}

}  // namespace

std::size_t flow_record_bytes(std::size_t capacity) {
  return capacity * sizeof(FlowRecord);
}

std::size_t flow_index_bytes(std::size_t capacity) {
  return kShards * FlowIndex::buckets_for(per_shard(capacity)) * sizeof(IndexBucket);
}

void Counters::add(const Counters& other) {
  for (std::size_t i = 0; i < actions.size(); ++i) actions[i] += other.actions[i];
  for (std::size_t i = 0; i < reasons.size(); ++i) reasons[i] += other.reasons[i];
  flows_opened += other.flows_opened;
  flows_expired += other.flows_expired;
  flows_evicted += other.flows_evicted;
  flows_revoked += other.flows_revoked;
}

/// A packet on its way through the engine: what is known of it so far.
struct Transit {
  Packet& packet;
  PacketView view;
  std::optional<QuotedPacket> quoted;  ///< of an ICMP error
  Protocol protocol;                   ///< of the flow: an error belongs to that of the packet it quotes
  Tuple tuple;                         ///< likewise, in the direction in which the packet travels
  AddressRole source;
  AddressRole destination;
  std::uint8_t shard = 0;
  FlowId replaces = kNoFlow;  ///< a closed flow with the same tuple, which goes when this packet opens a new one
};

struct Engine::State {
  State(const EngineOptions& engine_options, std::shared_ptr<const Ruleset> first_ruleset);

  // The stations, in the order in which a packet passes them. Each returns a verdict where the way ends there.
  std::optional<Verdict> arrive(Packet& packet, std::optional<Transit>& transit) const;
  Verdict decide(Transit& transit, Time now, PacketSink& sink);
  Verdict follow(Transit& transit, FlowHit hit, Time now, PacketSink& sink);
  Verdict follow_error(Transit& transit, FlowHit hit);
  Verdict begin(Transit& transit, Time now, PacketSink& sink);
  Verdict stray(const Transit& transit, Reason reason) const;
  Verdict open(Transit& transit, std::uint16_t service, Time now, PacketSink& sink);
  Verdict answer_ping(Transit& transit, Time now, PacketSink& sink);
  Verdict reject(const Transit& transit, Reason reason, Unmatched how, Time now, PacketSink& sink);
  Verdict refuse(const Transit& transit, Reason reason, Time now, PacketSink& sink);

  std::optional<SourcePort> choose_source(SourceRequest& request, const CompiledService& service, std::uint16_t backend,
                                          Time now) const;
  Duration flow_timeout(const FlowRecord& flow) const;
  void expire(FlowTable& table, Time now, std::size_t budget);
  void count(const Verdict& verdict);

  bool owns(std::uint8_t shard) const { return shard % options.workers == options.worker; }
  FlowTable& table_of(std::uint8_t shard) { return tables[shard / options.workers]; }
  const FlowTable& table_of(std::uint8_t shard) const { return tables[shard / options.workers]; }

  EngineOptions options;
  std::shared_ptr<const Ruleset> rules;
  Sharding sharding;
  KeyedHash port_hash;
  std::vector<FlowTable> tables;  ///< of the shards worker, worker + workers, …
  RateLimiter answers{kAnswersPerSecond, kAnswerBurst};
  std::array<std::uint8_t, kAnswerBufferSize> answer_buffer{};
  mutable Counters counters;  // the evicted are summed up when asked for
};

Engine::State::State(const EngineOptions& engine_options, std::shared_ptr<const Ruleset> first_ruleset)
    : options(engine_options),
      rules(std::move(first_ruleset)),
      sharding(options.seed),
      port_hash(options.seed ^ 0x504f5254) {
  const std::size_t flows = per_shard(options.memory.capacity);
  const std::size_t buckets = FlowIndex::buckets_for(flows);
  auto* records = reinterpret_cast<FlowRecord*>(options.memory.records.data());
  auto* index = reinterpret_cast<IndexBucket*>(options.memory.index.data());
  for (std::uint32_t shard = options.worker; shard < kShards; shard += options.workers) {
    tables.emplace_back(std::span(records + shard * flows, flows), std::span(index + shard * buckets, buckets),
                        KeyedHash(options.seed));
  }
}

/// Parses and finds the owner. Fills `transit` unless the way ends here.
std::optional<Verdict> Engine::State::arrive(Packet& packet, std::optional<Transit>& transit) const {
  const auto view = PacketView::parse(packet);
  if (!view) return drop(view.reason());
  if (is_martian(view->ip.source())) return drop(Reason::martian_source);
  // What we send never comes back this way; whoever uses our addresses as a source is lying (LAND among them).
  if (rules->role_of(view->ip.source()).is_ours()) return drop(Reason::own_source);

  std::optional<QuotedPacket> quoted;
  if (view->protocol == Protocol::icmp && view->icmp.is_error()) {
    const auto parsed = QuotedPacket::parse(*view);
    if (!parsed) return drop(parsed.reason());
    quoted = *parsed;
  }
  const Protocol protocol = quoted ? quoted->protocol : view->protocol;
  const Tuple tuple = quoted ? quoted->tuple.reversed() : tuple_of(*view);
  const AddressRole source = rules->role_of(tuple.source);
  const AddressRole destination = rules->role_of(tuple.destination);
  const std::uint8_t shard = sharding.of_packet(tuple, source, destination);
  if (!owns(shard)) return Verdict{.action = Action::hand_off, .shard = shard};
  transit.emplace(Transit{packet, *view, quoted, protocol, tuple, source, destination, shard});
  table_of(shard).prefetch(protocol, tuple);
  return std::nullopt;
}

Verdict Engine::State::decide(Transit& transit, Time now, PacketSink& sink) {
  FlowTable& table = table_of(transit.shard);
  if (now >= table.next_tick()) expire(table, now, kExpiryPerPacket);
  if (transit.protocol == Protocol::icmp && !transit.quoted && !transit.view.icmp.is_query()) {
    return begin(transit, now, sink);
  }
  const auto hit = table.find(transit.protocol, transit.tuple);
  if (transit.quoted) return hit ? follow_error(transit, *hit) : stray(transit, Reason::icmp_embedded);
  return hit ? follow(transit, *hit, now, sink) : begin(transit, now, sink);
}

/// An ICMP error about a packet of a known flow. It neither refreshes nor ends the flow (RFC 5508 REQ-6, RFC 5382
/// REQ-10).
Verdict Engine::State::follow_error(Transit& transit, FlowHit hit) {
  FlowRecord& flow = table_of(transit.shard)[hit.id];
  if (!revalidate(*rules, flow)) return stray(transit, Reason::icmp_embedded);
  translate_error(transit.packet, transit.view, *transit.quoted, flow, hit.direction);
  return {.action = Action::forward, .shard = transit.shard, .service = flow.service, .backend = flow.backend};
}

/// A packet of a known flow.
Verdict Engine::State::follow(Transit& transit, FlowHit hit, Time now, PacketSink& sink) {
  FlowTable& table = table_of(transit.shard);
  FlowRecord& flow = table[hit.id];
  if (!revalidate(*rules, flow)) {
    table.erase(hit.id);
    ++counters.flows_revoked;
    return begin(transit, now, sink);
  }
  const FlowClass class_before = flow.flow_class;
  const Duration timeout_before = flow_timeout(flow);
  bool refresh = true;
  if (flow.protocol == Protocol::tcp) {
    const TcpResult result = tcp_track(flow.tcp, hit.direction, TcpSegment::of(transit.view.tcp));
    if (result.outcome == TcpOutcome::invalid) return drop(result.reason, transit.shard);
    if (result.outcome == TcpOutcome::reopen) {
      // The old flow stays until then: it knows whether its source port may be used again.
      transit.replaces = hit.id;
      return begin(transit, now, sink);
    }
    refresh = result.refresh;
  } else if (hit.direction == Direction::reply) {
    flow.answered = 1;
  }
  if (refresh) flow.last_seen = now;
  const FlowClass class_now = class_of(flow);
  const Duration timeout_now = flow_timeout(flow);
  if (class_now != class_before || timeout_now < timeout_before) table.update(hit.id, class_now, timeout_now);

  const Tuple& other = hit.direction == Direction::original ? flow.reply : flow.original;
  rewrite(transit.packet, transit.view, other.reversed());
  return {.action = Action::forward, .shard = transit.shard, .service = flow.service, .backend = flow.backend};
}

/// A packet of no flow.
Verdict Engine::State::begin(Transit& transit, Time now, PacketSink& sink) {
  if (transit.destination.is_vip()) {
    if (transit.view.protocol == Protocol::icmp) return answer_ping(transit, now, sink);
    const auto service =
        rules->find_service(transit.destination.vip, transit.view.protocol, transit.tuple.destination_port);
    if (service) return open(transit, *service, now, sink);
    return reject(transit, Reason::no_service, rules->vip(transit.destination.vip).unmatched, now, sink);
  }
  // A backend whose flow is gone: a RST lets it forget at once.
  if (transit.destination.masquerade) {
    const bool is_tcp = transit.view.protocol == Protocol::tcp;
    return reject(transit, Reason::no_flow, is_tcp ? Unmatched::reject : Unmatched::drop, now, sink);
  }
  return stray(transit, Reason::no_such_vip);
}

/// A packet of no flow that is not for one of our addresses. What the policy rules brought here along with our flows'
/// packets goes on unchanged; what goes to our subnets must not, since it would come back at once.
Verdict Engine::State::stray(const Transit& transit, Reason reason) const {
  const bool brought_along = transit.source.preserve_backend || transit.quoted;
  if (!brought_along || rules->owns(transit.tuple.destination)) return drop(reason, transit.shard);
  return {.action = Action::pass, .shard = transit.shard};
}

/// The first packet of a flow to a service. The flow is committed last, when nothing can object any more.
Verdict Engine::State::open(Transit& transit, std::uint16_t service_index, Time now, PacketSink& sink) {
  const CompiledService& service = rules->service(service_index);
  const Unmatched unmatched = rules->vip(service.vip).unmatched;
  TcpSegment segment;
  const bool is_tcp = transit.view.protocol == Protocol::tcp;
  if (is_tcp) {
    segment = TcpSegment::of(transit.view.tcp);
    if (!tcp_flags_are_valid(segment.flags)) return drop(Reason::tcp_flags, transit.shard);
    // Joining mid-stream needs the addresses that the ends already use, which only `preserve` has.
    const bool joins = service.service->source == SourceMode::preserve && tcp_may_pick_up(segment);
    if (!tcp_may_open(segment) && !joins) return reject(transit, Reason::no_flow, unmatched, now, sink);
  }
  const auto backend = rules->choose_backend(service_index, transit.tuple.source_endpoint());
  if (!backend) return reject(transit, Reason::no_backend, unmatched, now, sink);

  SourceRequest request{.protocol = transit.view.protocol,
                        .client = transit.tuple.source_endpoint(),
                        .backend = rules->backend_endpoint(service_index, *backend, transit.tuple.destination_port),
                        .source = {},
                        .shard = transit.shard,
                        .syn = is_tcp ? &segment : nullptr};
  const auto source = choose_source(request, service, *backend, now);
  if (!source) return refuse(transit, Reason::ports_exhausted, now, sink);

  FlowRecord candidate{};
  candidate.protocol = request.protocol;
  if (is_tcp) candidate.tcp = tcp_may_open(segment) ? tcp_open(segment) : tcp_pick_up(segment, Direction::original);
  candidate.original = transit.tuple;
  candidate.reply = {request.backend.address, request.source, request.backend.port, source->port};
  candidate.generation = rules->generation();
  candidate.service = service_index;
  candidate.backend = *backend;
  candidate.flow_class = class_of(candidate);
  candidate.last_seen = now;

  FlowTable& table = table_of(transit.shard);
  if (source->reclaimed != kNoFlow) table.erase(source->reclaimed);
  if (transit.replaces != kNoFlow && transit.replaces != source->reclaimed) table.erase(transit.replaces);
  if (table.insert(candidate, flow_timeout(candidate)) == kNoFlow)
    return refuse(transit, Reason::table_full, now, sink);
  ++counters.flows_opened;
  rewrite(transit.packet, transit.view, candidate.reply.reversed());
  return {.action = Action::forward, .shard = transit.shard, .service = service_index, .backend = *backend};
}

std::optional<SourcePort> Engine::State::choose_source(SourceRequest& request, const CompiledService& service,
                                                       std::uint16_t backend, Time now) const {
  const FlowTable& table = table_of(request.shard);
  if (service.service->source == SourceMode::preserve &&
      rules->can_preserve(request.client.address, request.backend.address)) {
    request.source = request.client.address;
    return choose_preserved_port(request, table, sharding, port_hash, now);
  }
  request.source = service.masquerade[backend];
  return choose_masquerade_port(request, table, port_hash, now);
}

Verdict Engine::State::answer_ping(Transit& transit, Time now, PacketSink& sink) {
  if (transit.view.icmp.type() != icmp::kEchoRequest) return drop(Reason::icmp_type, transit.shard);
  if (!rules->vip(transit.destination.vip).ping) return drop(Reason::ping_disabled, transit.shard);
  if (!answers.allow(now)) return drop(Reason::rate_limited, transit.shard);
  turn_into_echo_reply(transit.packet, transit.view);
  sink.send(transit.packet);
  return {.action = Action::reply, .shard = transit.shard};
}

/// Tells the sender that nobody serves this: RST for TCP, port unreachable for UDP.
Verdict Engine::State::reject(const Transit& transit, Reason reason, Unmatched how, Time now, PacketSink& sink) {
  if (how == Unmatched::drop) return drop(reason, transit.shard);
  const auto packet = transit.view.protocol == Protocol::tcp
                          ? make_reset(transit.view, answer_buffer)
                          : make_unreachable(transit.view, icmp::kPortUnreachable, answer_buffer);
  if (!packet) return drop(reason, transit.shard);
  if (!answers.allow(now)) return drop(Reason::rate_limited, transit.shard);
  sink.send(*packet);
  return {.action = Action::reply, .reason = reason, .shard = transit.shard};
}

/// Tells the sender that there is no room (RFC 5508 REQ-8).
Verdict Engine::State::refuse(const Transit& transit, Reason reason, Time now, PacketSink& sink) {
  const auto packet = make_unreachable(transit.view, icmp::kAdministrativelyProhibited, answer_buffer);
  if (!packet || !answers.allow(now)) return drop(reason, transit.shard);
  sink.send(*packet);
  return {.action = Action::reply, .reason = reason, .shard = transit.shard};
}

Duration Engine::State::flow_timeout(const FlowRecord& flow) const {
  return timeout_of(flow, rules->rules().timeouts, rules->service(flow.service).service->idle_timeout);
}

void Engine::State::expire(FlowTable& table, Time now, std::size_t budget) {
  counters.flows_expired += table.expire(now, budget, [this](FlowRecord& flow) {
    return revalidate(*rules, flow) ? flow_timeout(flow) : Duration::zero();
  });
}

void Engine::State::count(const Verdict& verdict) {
  ++counters.actions[static_cast<std::size_t>(verdict.action)];
  if (verdict.reason != Reason::none) ++counters.reasons[static_cast<std::size_t>(verdict.reason)];
}

Engine::Engine(const EngineOptions& options, std::shared_ptr<const Ruleset> ruleset)
    : state_(std::make_unique<State>(options, std::move(ruleset))) {}

Engine::~Engine() = default;

void Engine::process(std::span<Packet> packets, std::span<Verdict> verdicts, Time now, PacketSink& sink) {
  std::array<std::optional<Transit>, kMaxBatch> transits;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    if (const auto verdict = state_->arrive(packets[i], transits[i])) verdicts[i] = *verdict;
  }
  for (std::size_t i = 0; i < packets.size(); ++i) {
    if (transits[i]) verdicts[i] = state_->decide(*transits[i], now, sink);
    state_->count(verdicts[i]);
  }
}

Time Engine::run(Time now) {
  Time next = Time::max();
  for (FlowTable& table : state_->tables) {
    state_->expire(table, now, kExpiryPerRun);
    next = std::min(next, table.next_tick());
  }
  return next;
}

void Engine::set_ruleset(std::shared_ptr<const Ruleset> ruleset) {
  state_->rules = std::move(ruleset);
}

const Ruleset& Engine::ruleset() const {
  return *state_->rules;
}

const Counters& Engine::counters() const {
  state_->counters.flows_evicted = 0;
  for (const FlowTable& table : state_->tables) state_->counters.flows_evicted += table.evicted();
  return state_->counters;
}

std::size_t Engine::flow_count() const {
  std::size_t count = 0;
  for (const FlowTable& table : state_->tables) count += table.size();
  return count;
}

}  // namespace vipgate
