#include <limits>

#include "engine/state.h"
#include "nat/egress.h"
#include "nat/expectation.h"
#include "nat/rewrite.h"

// Packets of no flow: which flow they open, if any. A flow is committed last, when nothing can object any more.

namespace vipgate {

Verdict Engine::State::begin(Transit& transit, Time now, PacketSink& sink) {
  if (rules->has_helpers() && transit.protocol == Protocol::tcp) {
    if (const auto verdict = open_expected(transit, now, sink)) return *verdict;
  }
  if (transit.destination.is_vip()) {
    const bool is_icmp = transit.view.protocol == Protocol::icmp;
    if (is_icmp && transit.destination.shared) return {.action = Action::pass, .shard = transit.shard};
    if (is_icmp) return answer_ping(transit, now, sink);
    const Unmatched unmatched = rules->vip(transit.destination.vip).unmatched;
    if (transit.destination.allocates(transit.tuple.destination_port)) {
      // RFC 5382 REQ-4: a SYN is not answered here, since the private host may be about to send its own.
      const bool waits = transit.protocol == Protocol::tcp && transit.view.tcp.has(tcp::kSyn);
      return reject(transit, Reason::egress_filtered, waits ? Unmatched::drop : unmatched, now, sink);
    }
    const auto service =
        rules->find_service(transit.destination.vip, transit.view.protocol, transit.tuple.destination_port);
    if (service) return open_service(transit, *service, now, sink);
    if (transit.destination.shared) return {.action = Action::pass, .shard = transit.shard};
    return reject(transit, Reason::no_service, unmatched, now, sink);
  }
  // A backend whose flow is gone: a RST lets it forget at once.
  if (transit.destination.masquerade) {
    const bool is_tcp = transit.view.protocol == Protocol::tcp;
    return reject(transit, Reason::no_flow, is_tcp ? Unmatched::reject : Unmatched::drop, now, sink);
  }
  const CompiledEgress* egress = rules->find_egress(transit.tuple.source, transit.tuple.destination);
  return egress != nullptr ? open_egress(transit, *egress, now, sink) : stray(transit, Reason::no_such_vip);
}

/// Fetches the memory that a flow will take which the packet may open to a service: where its reply tuple is entered,
/// if the port is the likely one, and its record.
std::optional<Foreseen> Engine::State::foresee(const Transit& transit) const {
  const bool may_open = transit.protocol == Protocol::udp ||
                        (transit.protocol == Protocol::tcp && !transit.quoted && transit.view.tcp.has(tcp::kSyn));
  if (!may_open || !transit.destination.is_vip()) return std::nullopt;
  const auto service = rules->find_service(transit.destination.vip, transit.protocol, transit.tuple.destination_port);
  if (!service || !rules->service(*service).allows(transit.tuple.source)) return std::nullopt;
  const auto backend = rules->foresee_backend(*service, transit.tuple.source_endpoint());
  if (!backend) return std::nullopt;
  const Endpoint target = rules->backend_endpoint(*service, *backend, transit.tuple.destination_port);
  const SourceRequest source = source_of(transit, *service, *backend, target);
  const std::uint16_t port = source.preserve ? source.client.port : first_masquerade_port(source, port_hash);
  const FlowTable& flows = flows_of(transit.shard);
  flows.prefetch(flows.hash_of(transit.protocol, {target.address, source.source, target.port, port}));
  flows.prefetch_room();
  return Foreseen{*backend, source};
}

/// The first packet of a flow to a service.
Verdict Engine::State::open_service(Transit& transit, std::uint16_t service_index, Time now, PacketSink& sink) {
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
  const auto& foreseen = transit.foreseen;
  if (!foreseen && !service.allows(transit.tuple.source)) return reject(transit, Reason::denied, unmatched, now, sink);
  const auto backend = foreseen ? std::optional(foreseen->backend)
                                : rules->choose_backend(service_index, transit.tuple.source_endpoint());
  if (!backend) return reject(transit, Reason::no_backend, unmatched, now, sink);

  FlowRecord candidate{};
  candidate.kind = FlowKind::service;
  candidate.protocol = transit.view.protocol;
  candidate.original = transit.tuple;
  candidate.generation = rules->generation();
  candidate.service = service_index;
  candidate.backend = *backend;
  if (is_counted(candidate)) {
    const Reason objection = rules->load().objection(service_index, client_hash(candidate));
    if (objection != Reason::none) return refuse(transit, objection, now, sink);
    if (!rules->load().take_turn(service_index, now)) return refuse(transit, Reason::service_rate, now, sink);
  }

  SourceRequest request =
      foreseen ? foreseen->source
               : source_of(transit, service_index, *backend,
                           rules->backend_endpoint(service_index, *backend, transit.tuple.destination_port));
  if (is_tcp) request.syn = &segment;
  const auto source = choose_source(request, now);
  if (!source) return refuse(transit, Reason::ports_exhausted, now, sink);
  candidate.reply = {request.backend.address, request.source, request.backend.port, source->port};
  if (is_tcp) candidate.tcp = tcp_may_open(segment) ? tcp_open(segment) : tcp_pick_up(segment, Direction::original);
  if (source->reclaimed != kNoFlow) evict(transit.shard, source->reclaimed);
  return commit(transit, candidate, now, sink);
}

/// Who asks for a source port toward the backend, and of which address.
SourceRequest Engine::State::source_of(const Transit& transit, std::uint16_t service_index, std::uint16_t backend,
                                       const Endpoint& target) const {
  const CompiledService& service = rules->service(service_index);
  const Endpoint client = transit.tuple.source_endpoint();
  const bool preserve =
      service.service->source == SourceMode::preserve && rules->can_preserve(client.address, target.address);
  return {.protocol = transit.protocol,
          .client = client,
          .backend = target,
          .preserve = preserve,
          .source = preserve ? client.address : service.masquerade[backend],
          .shard = transit.shard};
}

std::optional<SourcePort> Engine::State::choose_source(const SourceRequest& request, Time now) {
  Shard& shard = shard_at(request.shard);
  return request.preserve ? choose_preserved_port(request, shard.flows, sharding, port_hash, now)
                          : choose_masquerade_port(request, shard.flows, shard.ports, port_hash, now);
}

/// The first packet of a private host's own flow.
Verdict Engine::State::open_egress(Transit& transit, const CompiledEgress& egress, Time now, PacketSink& sink) {
  FlowRecord candidate{};
  candidate.kind = FlowKind::egress;
  candidate.protocol = transit.view.protocol;
  candidate.original = transit.tuple;
  candidate.service = Verdict::kNoService;
  switch (transit.view.protocol) {
    case Protocol::tcp: {
      const TcpSegment segment = TcpSegment::of(transit.view.tcp);
      if (!tcp_flags_are_valid(segment.flags)) return drop(Reason::tcp_flags, transit.shard);
      if (!tcp_may_open(segment)) return reject(transit, Reason::no_flow, Unmatched::reject, now, sink);
      candidate.tcp = tcp_open(segment);
      break;
    }
    case Protocol::udp:
      break;
    case Protocol::icmp:
      if (transit.view.icmp.type() != icmp::kEchoRequest) return drop(Reason::icmp_type, transit.shard);
      break;
  }
  // Room for a mapping and a flow, before a mapping is looked for that might have to give way.
  if (!make_room(transit.shard, 2)) return refuse(transit, Reason::table_full, now, sink);
  FlowRecord* mapping = acquire_mapping(transit, egress.as, now);
  if (mapping == nullptr) return refuse(transit, Reason::ports_exhausted, now, sink);
  ++mapping->extension;
  const Endpoint outside = mapping->reply.destination_endpoint();
  const bool is_icmp = transit.view.protocol == Protocol::icmp;
  candidate.reply = {transit.tuple.destination, outside.address,
                     is_icmp ? outside.port : transit.tuple.destination_port, outside.port};
  return commit(transit, candidate, now, sink);
}

/// The mapping of the packet's source endpoint, made now where it has none. None: no public port is free.
FlowRecord* Engine::State::acquire_mapping(const Transit& transit, Ipv4Address vip, Time now) {
  FlowTable& flows = flows_of(transit.shard);
  const Endpoint host = transit.tuple.source_endpoint();
  if (const auto known = flows.find(transit.protocol, mapping_of(host))) {
    FlowRecord& mapping = flows[known.id];
    if (mapping.reply.destination == vip) return &mapping;
    // The rules name another VIP now. The flows on the old one have ended or will: revalidation sees to it.
    return nullptr;
  }
  const auto port = choose_egress_port(transit.protocol, host, vip, transit.shard, flows, port_hash);
  if (!port) return nullptr;
  const FlowId id = flows.insert(make_mapping(transit.protocol, host, {vip, *port}, now), kMappingLook);
  return &flows[id];
}

/// A data connection that a helper has announced. Nothing where none is expected.
std::optional<Verdict> Engine::State::open_expected(Transit& transit, Time now, PacketSink& sink) {
  FlowTable& flows = flows_of(transit.shard);
  const auto hit = flows.find(Protocol::tcp, expectation_of(transit.tuple));
  if (!hit || flows[hit.id].kind != FlowKind::expectation) return std::nullopt;
  if (!is_allowed(flows[hit.id])) {
    end(transit.shard, hit.id);
    return std::nullopt;
  }
  const FlowRecord expected = flows[hit.id];
  const TcpSegment segment = TcpSegment::of(transit.view.tcp);
  if (!tcp_may_open(segment)) return drop(Reason::no_flow, transit.shard);

  FlowRecord candidate{};
  candidate.kind = FlowKind::related;
  candidate.protocol = Protocol::tcp;
  candidate.original = transit.tuple;
  candidate.service = expected.service;
  candidate.backend = expected.backend;
  candidate.tcp = tcp_open(segment);
  const Endpoint target = expected.reply.source_endpoint();
  const CompiledService& service = rules->service(expected.service);
  const Ipv4Address vip = rules->vip(service.vip).address;
  if (transit.destination.is_vip()) {  // the client opens it
    SourceRequest request = source_of(transit, expected.service, expected.backend, target);
    request.syn = &segment;
    const auto source = choose_source(request, now);
    if (!source) return refuse(transit, Reason::ports_exhausted, now, sink);
    candidate.reply = {target.address, request.source, target.port, source->port};
    if (source->reclaimed != kNoFlow) evict(transit.shard, source->reclaimed);
  } else {  // the backend opens it
    const auto port = choose_data_port(target, vip, transit.shard, flows, port_hash);
    if (!port) return refuse(transit, Reason::ports_exhausted, now, sink);
    candidate.reply = {target.address, vip, target.port, *port};
  }
  // One connection fulfils it.
  if (const auto still = flows.find(Protocol::tcp, expected.original)) end(transit.shard, still.id);
  return commit(transit, candidate, now, sink);
}

/// The last step of every way to open a flow.
Verdict Engine::State::commit(Transit& transit, FlowRecord& candidate, Time now, PacketSink& sink) {
  FlowTable& flows = flows_of(transit.shard);
  candidate.generation = rules->generation();
  candidate.flow_class = class_of(candidate);
  candidate.last_seen = now;
  if (transit.reopens) {
    if (const auto old = flows.find(candidate.protocol, candidate.original)) end(transit.shard, old.id);
  }
  if (!make_room(transit.shard, 1)) return refuse(transit, Reason::table_full, now, sink);
  const FlowId id = flows.insert(candidate, flow_timeout(candidate));
  shard_at(transit.shard).ports.flow_begins(candidate.protocol, candidate.reply);
  ++counters.flows_opened;
  if (BackendLoad* load = backend_load(candidate)) {
    load->note_opened();
    load->add_flow();
  }
  if (transit.protocol == Protocol::tcp && transit.view.tcp.has(tcp::kSyn)) lower_mss_of(flows[id], transit);
  rewrite(*transit.packet, transit.view, candidate.reply.reversed());
  return forward(candidate, transit.shard, Direction::original);
}

/// Lets flows give way until so many records are free.
bool Engine::State::make_room(std::uint8_t shard, std::size_t records) {
  FlowTable& flows = flows_of(shard);
  while (flows.capacity() - flows.size() < records) {
    const FlowId victim = flows.first_to_give_way();
    if (victim == kNoFlow) return false;
    evict(shard, victim);
  }
  return true;
}

void Engine::State::evict(std::uint8_t shard, FlowId id) {
  end(shard, id);
  ++counters.flows_evicted;
}

}  // namespace vipgate
