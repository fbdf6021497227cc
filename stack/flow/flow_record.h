#pragma once

#include <cstdint>
#include <type_traits>

#include "flow/tcp_tracker.h"
#include "flow/tuple.h"
#include "vipgate/time.h"

namespace vipgate {

/// Index of a flow record in its shard.
using FlowId = std::uint32_t;
inline constexpr FlowId kNoFlow = ~FlowId{0};

/// What a record stands for.
enum class FlowKind : std::uint8_t {
  service,  ///< a client's flow to a service
  related,  ///< a helper's data connection
  egress,   ///< a private host's flow to the outside
  // Pseudo-flows: no packet has their tuples, which have zeros in the places that anything fits.
  mapping,      ///< host:port > *:* and *:* > VIP:port: the public port of an endpoint that has egress flows
  expectation,  ///< sender:* > announced endpoint, and target > announced endpoint: a data connection to come
};

/// What a flow is worth when room is needed, in the order of giving way.
enum class FlowClass : std::uint8_t {
  closed,     ///< TIME_WAIT, CLOSE: reclaimable at any time
  half_open,  ///< TCP handshake not finished
  one_way,    ///< UDP or ICMP query without an answer yet
  live,       ///< never evicted
};
inline constexpr std::size_t kFlowClasses = 4;

/// Neighbours in one of the lists that run through the records.
struct FlowLinks {
  FlowId next = kNoFlow;
  FlowId previous = kNoFlow;
};

/// One tracked conversation. Plain data in two cache lines, without pointers and worker numbers: records live in memory
/// that another process may adopt, at whatever moment its owner was killed. So `protocol` is the last to be written and
/// the first to go, `seal` proves the identity, and every other field may be found at any value: flow/adoption.h judges
/// them.
///
/// The two tuples describe its addresses and ports completely: a packet in the original direction leaves with `reply`
/// reversed, one in the reply direction with `original` reversed.
struct alignas(64) FlowRecord {
  // Identity, with `kind` and `seal`: written once.
  Tuple original;     ///< as the client sends: client > VIP
  Tuple reply;        ///< as the backend answers: backend > masquerade address or client
  Protocol protocol;  ///< 0 in a record that is not in use

  FlowClass flow_class;
  std::uint8_t answered;  ///< UDP, ICMP: a packet in the reply direction was seen
  FlowKind kind;
  std::uint32_t generation;  ///< of the ruleset that allowed it last
  Time last_seen;
  std::uint16_t service;  ///< index in that ruleset; of egress: Verdict::kNoService
  std::uint16_t backend;  ///< index in that service

  TcpTrack tcp;

  FlowLinks timer;  ///< in a slot of the expiry wheel; `next` also links free records
  FlowLinks queue;  ///< in the eviction queue of its class
  std::uint16_t timer_slot;
  /// Flows: number of the extension record, or kNoExtension. Mappings: how many flows use it. Expectations: seal of the
  /// control connection that announced it.
  std::uint32_t extension;
  std::uint32_t seal;  ///< keyed hash of the identity

  static constexpr std::uint32_t kNoExtension = 0;

  bool has_extension() const { return kind == FlowKind::service && extension != kNoExtension; }
  bool in_use() const { return protocol != Protocol{0}; }
};
static_assert(sizeof(FlowRecord) == 128);
static_assert(std::is_trivially_copyable_v<FlowRecord>);

}  // namespace vipgate
