#pragma once

#include <cstdint>
#include <optional>

#include "flow/flow_table.h"
#include "flow/hash.h"
#include "nat/port_pools.h"
#include "vipgate/time.h"

namespace vipgate {

/// A flow to be opened: who asks, and what the backend will see as destination and source address.
struct SourceRequest {
  Protocol protocol;
  Endpoint client;
  Endpoint backend;
  bool preserve = false;  ///< whether the backend sees the client's address
  Ipv4Address source;     ///< address that the backend sees
  std::uint8_t shard;
  const TcpSegment* syn = nullptr;  ///< the first segment of a TCP flow
};

/// A source port for a new flow, unique per backend endpoint.
struct SourcePort {
  std::uint16_t port = 0;
  FlowId reclaimed = kNoFlow;  ///< a flow that has to be ended first: the port was its
};

/// The port that choose_masquerade_port() looks at first, while ports are not scarce.
std::uint16_t first_masquerade_port(const SourceRequest& request, const KeyedHash& hash);

/// Chooses among the source ports of one masquerade address that lead back to the shard. A keyed hash of the flow's
/// endpoints gives the place to begin and the step (RFC 6056 §3.3.3, algorithm 3 with the table in place of its
/// counter), so the choice is random to others, and repeatable with the seed. Where ports are scarce, a pool of the
/// shard's says which are free, in constant time; it is made when first needed. nullopt: every port serves a live flow.
///
/// A free port is taken before one whose flow is closed, and that before the oldest seen of those that were never
/// answered: a flood of SYNs shall not use up the ports. A closed flow gives up its port at once unless its backend
/// closed first: then the backend may hold TIME-WAIT for the port, for up to kTimeWait, and accepts only a SYN that
/// exceeds the last one (RFC 9293 §3.6.1, RFC 6191).
std::optional<SourcePort> choose_masquerade_port(const SourceRequest& request, const FlowTable& flows, PortPools& pools,
                                                 const KeyedHash& hash, Time now);

/// For a backend that sees the client's address: the client's own port, or another that leads back to the shard: where
/// it would collide with another flow between the client's address and this backend, or where the shard is not the
/// client's but that of a control connection.
std::optional<SourcePort> choose_preserved_port(const SourceRequest& request, const FlowTable& flows,
                                                const Sharding& sharding, const KeyedHash& hash, Time now);

/// How long common systems hold TIME-WAIT (Linux: TCP_TIMEWAIT_LEN).
inline constexpr Duration kTimeWait = std::chrono::seconds(60);

}  // namespace vipgate
