#include "nat/egress.h"

#include "nat/allocated_port.h"
#include "vipgate/verdict.h"

namespace vipgate {

std::optional<std::uint16_t> choose_egress_port(Protocol protocol, const Endpoint& host, Ipv4Address vip,
                                                std::uint8_t shard, const FlowTable& flows, const KeyedHash& hash) {
  const std::uint64_t random = hash(hash(host), vip.value());
  return find_port(kEgressPorts, shard, host.port, random, [&](std::uint16_t port) {
    return !flows.find(protocol, mapping_at({vip, port}));
  });
}

FlowRecord make_mapping(Protocol protocol, const Endpoint& host, const Endpoint& outside, Time now) {
  FlowRecord mapping{};
  mapping.original = mapping_of(host);
  mapping.reply = mapping_at(outside);
  mapping.protocol = protocol;
  mapping.kind = FlowKind::mapping;
  mapping.flow_class = FlowClass::live;
  mapping.service = Verdict::kNoService;
  mapping.last_seen = now;
  return mapping;
}

}  // namespace vipgate
