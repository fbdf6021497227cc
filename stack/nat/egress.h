#pragma once

#include <cstdint>
#include <optional>

#include "flow/flow_table.h"
#include "flow/hash.h"
#include "flow/tuple.h"

namespace vipgate {

// Flows that private hosts open, with a VIP as source. The mapping is endpoint-independent (RFC 4787 REQ-1, RFC 5382
// REQ-1, RFC 5508 REQ-1): an address and port has the same public port toward every destination, for as long as it has
// flows. The filtering is address-and-port-dependent (REQ-8): what comes back must belong to a flow.
//
// A mapping is a record in the flow table, of FlowKind::mapping, with tuples that no packet has.

/// The tuple by which the mapping of a private endpoint is found. For ICMP the identifier is the port.
constexpr Tuple mapping_of(const Endpoint& host) {
  return {host.address, Ipv4Address(), host.port, 0};
}
/// The tuple by which it is found from outside.
constexpr Tuple mapping_at(const Endpoint& outside) {
  return {Ipv4Address(), outside.address, 0, outside.port};
}

/// A public port of `vip` for a host that has none, from kEgressPorts, which leads back to the shard. nullopt: all that
/// the shard has, 384 for each protocol, are mapped.
std::optional<std::uint16_t> choose_egress_port(Protocol protocol, const Endpoint& host, Ipv4Address vip,
                                                std::uint8_t shard, const FlowTable& flows, const KeyedHash& hash);

/// The record of a new mapping; it has no flow yet.
FlowRecord make_mapping(Protocol protocol, const Endpoint& host, const Endpoint& outside, Time now);

}  // namespace vipgate
