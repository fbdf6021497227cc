#pragma once

#include <cstdint>
#include <optional>

#include "flow/flow_table.h"
#include "flow/hash.h"
#include "nat/shard.h"

namespace vipgate {

// Data connections that a helper has announced. An expectation is a record in the flow table, of FlowKind::expectation:
// its original tuple says who may connect (one address, from any port) and to which announced endpoint; its reply
// tuple, where the connection really goes. It lives in the shard of the control flow, and so the announced endpoint is
// chosen for the data connection to lead there, whoever opens it.

/// The tuple by which a packet finds the expectation that it fulfils.
constexpr Tuple expectation_of(const Tuple& first_packet) {
  return {first_packet.source, first_packet.destination, 0, first_packet.destination_port};
}

/// Who may connect, where it goes, and what stands for it. `service` and `backend` are the control flow's.
struct ExpectedConnection {
  Ipv4Address from;
  Endpoint target;
  Endpoint announced;
  std::uint16_t service = 0;
  std::uint16_t backend = 0;
  std::uint32_t generation = 0;
  std::uint32_t owner = 0;  ///< seal of the control flow
};
FlowRecord make_expectation(const ExpectedConnection& expected, Time now);

/// A port of `vip`, from kHelperPorts, that stands for what `from` shall reach. nullopt: none is free.
std::optional<std::uint16_t> choose_announced_port(Ipv4Address from, Ipv4Address vip, std::uint8_t shard,
                                                   const FlowTable& flows, const KeyedHash& hash);
/// The same at a masquerade address, where all ports are ours.
std::optional<std::uint16_t> choose_masqueraded_port(Ipv4Address from, Ipv4Address masquerade, std::uint8_t shard,
                                                     const FlowTable& flows, const KeyedHash& hash);
/// The same at the client's own address, as a preserve backend sees it: `target` where possible.
std::optional<std::uint16_t> choose_client_port(Ipv4Address from, const Endpoint& target, std::uint8_t shard,
                                                const FlowTable& flows, const Sharding& sharding);

/// A source port of `vip`, from kHelperPorts, for a data connection that the backend opens to `client`.
std::optional<std::uint16_t> choose_data_port(const Endpoint& client, Ipv4Address vip, std::uint8_t shard,
                                              const FlowTable& flows, const KeyedHash& hash);

}  // namespace vipgate
