#include "nat/expectation.h"

#include "nat/allocated_port.h"
#include "nat/source_port.h"

namespace vipgate {
namespace {

std::optional<std::uint16_t> choose(PortRange range, Ipv4Address from, Ipv4Address at, std::uint8_t shard,
                                    const FlowTable& flows, const KeyedHash& hash) {
  const std::uint64_t random = hash(from.value(), at.value());
  return find_port(range, shard, 0, random, [&](std::uint16_t port) {
    return !flows.find(Protocol::tcp, expectation_of({from, at, 0, port}));
  });
}

}  // namespace

FlowRecord make_expectation(const ExpectedConnection& expected, Time now) {
  FlowRecord record{};
  record.original = {expected.from, expected.announced.address, 0, expected.announced.port};
  record.reply = {expected.target.address, expected.announced.address, expected.target.port, expected.announced.port};
  record.protocol = Protocol::tcp;
  record.kind = FlowKind::expectation;
  record.flow_class = FlowClass::live;
  record.service = expected.service;
  record.backend = expected.backend;
  record.generation = expected.generation;
  record.extension = expected.owner;
  record.last_seen = now;
  return record;
}

std::optional<std::uint16_t> choose_announced_port(Ipv4Address from, Ipv4Address vip, std::uint8_t shard,
                                                   const FlowTable& flows, const KeyedHash& hash) {
  return choose(kHelperPorts, from, vip, shard, flows, hash);
}

std::optional<std::uint16_t> choose_masqueraded_port(Ipv4Address from, Ipv4Address masquerade, std::uint8_t shard,
                                                     const FlowTable& flows, const KeyedHash& hash) {
  constexpr PortRange kRange{kFirstSourcePort, 65535};
  static_assert(kRange.first % kShardStride == 0);
  return choose(kRange, from, masquerade, shard, flows, hash);
}

std::optional<std::uint16_t> choose_client_port(Ipv4Address from, const Endpoint& target, std::uint8_t shard,
                                                const FlowTable& flows, const Sharding& sharding) {
  constexpr std::uint32_t kPorts = 65536 - kFirstSourcePort;
  for (std::uint32_t tried = 0; tried < kPorts; ++tried) {  // one in 64 leads to the shard
    const auto port = static_cast<std::uint16_t>(kFirstSourcePort + (target.port - kFirstSourcePort + tried) % kPorts);
    if (sharding.of_endpoint({target.address, port}) != shard) continue;
    if (!flows.find(Protocol::tcp, expectation_of({from, target.address, 0, port}))) return port;
  }
  return std::nullopt;
}

std::optional<std::uint16_t> choose_data_port(const Endpoint& client, Ipv4Address vip, std::uint8_t shard,
                                              const FlowTable& flows, const KeyedHash& hash) {
  return find_port(kHelperPorts, shard, 0, hash(hash(client), vip.value()), [&](std::uint16_t port) {
    return !flows.find(Protocol::tcp, {client.address, vip, client.port, port});
  });
}

}  // namespace vipgate
