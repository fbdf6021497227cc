#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "flow/flow_policy.h"
#include "flow/flow_table.h"
#include "flow/hash.h"
#include "flow/reassembly.h"
#include "nat/answer.h"
#include "nat/helper_record.h"
#include "nat/icmp_error.h"
#include "nat/port_pools.h"
#include "nat/rate_limiter.h"
#include "nat/ruleset.h"
#include "nat/shard.h"
#include "nat/source_port.h"
#include "vipgate/engine.h"
#include "vipgate/flow_info.h"
#include "wire/packet_view.h"

// The inside of Engine. A packet arrives (arrive.cc), follows its flow (follow.cc) or opens one (open.cc), may be
// answered (reply.cc), and flows end (end.cc). Control connections have a helper besides (helper.cc). Before the first
// packet, flows of an earlier process may be adopted (adopt.cc). Whoever looks from outside: look.cc.

namespace vipgate {

/// What a flow to a service will be, where its client alone decides, and is allowed.
struct Foreseen {
  std::uint16_t backend;
  SourceRequest source;
};

/// A packet on its way through the engine: what is known of it so far.
struct Transit {
  Packet* packet = nullptr;
  PacketView view;
  std::optional<QuotedPacket> quoted;  ///< of an ICMP error
  Protocol protocol = Protocol::tcp;   ///< of the flow: an error belongs to that of the packet it quotes
  Tuple tuple;                         ///< likewise, in the direction in which the packet travels
  AddressRole source;
  AddressRole destination;
  std::uint8_t shard = 0;
  std::uint64_t hash = 0;            ///< of protocol and tuple, as the shard's FlowTable has it
  FlowHit probably;                  ///< what that table's look_ahead() says
  std::optional<Foreseen> foreseen;  ///< of the flow that the packet may open
  bool reopens = false;              ///< a closed flow with the same tuple goes when this packet opens a new one
};

/// One part of the flow space.
struct Shard {
  FlowTable flows;
  Reassembly fragments;
  HelperPool helpers;
  PortPools ports;
  // Rounds over all records, to hold them against new rulesets. A new one does not begin the round anew, but asks for
  // another: however fast they come, the older ones are done with at some time.
  FlowId swept = kNoFlow;            ///< how far the round is; kNoFlow: no ruleset asks for one
  std::uint32_t round = 0;           ///< the generation that was the present one when it began
  std::uint32_t oldest_allowed = 0;  ///< no flow was last allowed by an older generation
};

struct Engine::State {
  State(const EngineOptions& engine_options, std::shared_ptr<const Ruleset> first_ruleset);

  // arrive.cc. Action::forward: the packet goes on to decide(); with any other verdict its way ends.
  Verdict arrive(Packet& packet, Transit& transit, Time now);
  Verdict gather(Packet& packet, Ipv4View& ip, Time now);
  Verdict foreign(const Ipv4View& ip) const;

  // follow.cc
  /// Fetches what decide() will need: the record of the packet's flow, or what a flow that begins takes.
  void look_ahead(Transit& transit) const {
    transit.probably = flows_of(transit.shard).look_ahead(transit.hash);
    transit.foreseen.reset();
    if (!transit.probably) transit.foreseen = foresee(transit);
  }
  Verdict decide(Transit& transit, Time now, PacketSink& sink);
  Verdict follow(Transit& transit, FlowHit hit, Time now, PacketSink& sink);
  Verdict follow_error(Transit& transit, FlowHit hit);
  Reason reclassify(const Transit& transit, FlowHit hit);
  void note_signs(const FlowRecord& flow, Direction direction, const TcpSegment& segment) const;
  void lower_mss_of(const FlowRecord& flow, Transit& transit) const;

  // open.cc
  std::optional<Foreseen> foresee(const Transit& transit) const;
  Verdict begin(Transit& transit, Time now, PacketSink& sink);
  Verdict open_service(Transit& transit, std::uint16_t service, Time now, PacketSink& sink);
  Verdict open_egress(Transit& transit, const CompiledEgress& egress, Time now, PacketSink& sink);
  std::optional<Verdict> open_expected(Transit& transit, Time now, PacketSink& sink);
  SourceRequest source_of(const Transit& transit, std::uint16_t service, std::uint16_t backend,
                          const Endpoint& target) const;
  std::optional<SourcePort> choose_source(const SourceRequest& request, Time now);
  FlowRecord* acquire_mapping(const Transit& transit, Ipv4Address vip, Time now);
  Verdict commit(Transit& transit, FlowRecord& candidate, Time now, PacketSink& sink);
  bool make_room(std::uint8_t shard, std::size_t records);
  void evict(std::uint8_t shard, FlowId id);

  // helper.cc
  class Expecter;
  const HelperRecord* helper_of(std::uint8_t shard, const FlowRecord& flow) const;
  bool needs_helper(const FlowRecord& flow) const;
  bool summon_helper(const Transit& transit, FlowRecord& flow, Direction direction);
  Reason help(Transit& transit, const FlowRecord& flow, Direction direction, TcpOutcome outcome, Time now);
  void forget_expectation(std::uint8_t shard, const FlowRecord& control, const HelperRecord& record);
  void dismiss_helper(std::uint8_t shard, const FlowRecord& flow);

  // look.cc
  FlowInfo info_of(const FlowRecord& flow, std::uint8_t shard, Time now) const;
  std::optional<std::uint64_t> walk(std::uint64_t from, std::size_t budget,
                                    const std::function<bool(std::uint8_t shard, FlowId id)>& visit) const;

  // adopt.cc
  Adoption adopt(Shard& shard, Time now, Found found);

  // reply.cc
  Verdict answer_ping(Transit& transit, Time now, PacketSink& sink);
  Verdict reject(const Transit& transit, Reason reason, Unmatched how, Time now, PacketSink& sink);
  Verdict refuse(const Transit& transit, Reason reason, Time now, PacketSink& sink);
  Verdict stray(const Transit& transit, Reason reason) const;
  bool reset_both(std::uint8_t shard, const FlowRecord& flow, PacketSink& sink);

  // end.cc
  /// Whether the present rules allow the flow. From then on they count it.
  bool is_allowed(FlowRecord& flow) const { return flow.generation == rules->generation() || is_allowed_anew(flow); }
  bool is_allowed_anew(FlowRecord& flow) const;
  bool is_counted(const FlowRecord& flow) const;
  std::uint64_t client_hash(const FlowRecord& flow) const;
  void end(std::uint8_t shard, FlowId id);
  void expire(std::uint8_t shard, Time now, std::size_t budget, PacketSink& sink);
  void sweep(std::size_t budget, PacketSink& sink);
  std::size_t sweep(std::uint8_t shard, std::size_t budget, PacketSink& sink);
  bool revoke(std::uint8_t shard, FlowId id, PacketSink& sink);
  bool is_swept() const;
  void forget_older_rulesets();
  const Ruleset* ruleset_of(std::uint32_t generation) const;
  BackendLoad* backend_load(const FlowRecord& flow) const;

  Duration flow_timeout(const FlowRecord& flow) const;
  void count(const Verdict& verdict) {
    ++counters.actions[static_cast<std::size_t>(verdict.action)];
    if (verdict.reason != Reason::none) ++counters.reasons[static_cast<std::size_t>(verdict.reason)];
  }
  /// What is for this address and no flow's goes on to the host: the policy rules do not bring it back.
  bool is_shared(Ipv4Address address) const { return rules->role_of(address).shared; }

  bool owns(std::uint8_t shard) const { return shard_by_number[shard] != nullptr; }
  Shard& shard_at(std::uint8_t shard) { return *shard_by_number[shard]; }
  const Shard& shard_at(std::uint8_t shard) const { return *shard_by_number[shard]; }
  FlowTable& flows_of(std::uint8_t shard) { return shard_at(shard).flows; }
  const FlowTable& flows_of(std::uint8_t shard) const { return shard_at(shard).flows; }

  EngineOptions options;
  std::shared_ptr<const Ruleset> rules;
  std::vector<std::shared_ptr<const Ruleset>> older_rules;  ///< that flows may still be counted in, by generation
  Sharding sharding;
  KeyedHash port_hash;
  std::vector<Shard> shards;                      ///< worker, worker + workers, …; they stay where they are
  std::array<Shard*, kShards> shard_by_number{};  ///< nullptr: another worker's
  std::size_t sweeping = 0;  ///< the place in `shards` of the one that is held against the rules next
  RateLimiter answers;
  std::array<Transit, kMaxBatch> transits;  ///< of the packets of the present call
  std::size_t deciding = 0;                 ///< about which of them
  std::array<std::uint8_t, kAnswerBufferSize> answer_buffer{};
  bool handed_out_datagrams = false;  ///< by the reassembly of some shard, to be taken back
  Counters counters;
};

inline Verdict drop(Reason reason, std::uint8_t shard = 0) {
  return {.action = Action::drop, .reason = reason, .shard = shard};
}

inline Verdict forward(const FlowRecord& flow, std::uint8_t shard, Direction direction) {
  return {.action = Action::forward,
          .shard = shard,
          .is_reply = direction == Direction::reply,
          .service = flow.service,
          .backend = flow.backend};
}

}  // namespace vipgate
