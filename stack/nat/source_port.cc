#include "nat/source_port.h"

#include <array>
#include <utility>

namespace vipgate {
namespace {

/// Steps that visit every candidate: without a common divisor with kPortsOfShard = 2^4 · 3^2 · 7.
constexpr std::array<std::uint32_t, 16> kSteps = {1,   11,  131, 197, 251, 313, 373, 419,
                                                  463, 509, 557, 613, 661, 719, 773, 829};

/// After so many busy ports they count as scarce.
constexpr std::uint32_t kPatience = 64;

/// Where none is free: among so many ports, flows that were never answered are compared, of which the oldest gives way;
/// among closed ones there is less to choose.
constexpr std::uint32_t kCompared = 64;
constexpr std::uint32_t kComparedClosed = 8;

/// The source ports of a shard, one after the other, each once before the first comes again.
class Walk {
 public:
  Walk(std::uint8_t shard, std::uint64_t random)
      : shard_(shard),
        step_(kSteps[random % kSteps.size()]),
        index_(static_cast<std::uint32_t>(random >> 32) % kPortsOfShard) {}

  std::uint16_t next() { return nth_port(shard_, std::exchange(index_, (index_ + step_) % kPortsOfShard)); }

 private:
  std::uint8_t shard_;
  std::uint32_t step_;
  std::uint32_t index_;
};

bool gives_up_port(const FlowRecord& flow, const SourceRequest& request, Time now) {
  switch (flow.flow_class) {
    case FlowClass::closed:
      if (!tcp_closed_by_reply_first(flow.tcp) || now - flow.last_seen >= kTimeWait) return true;
      return request.syn != nullptr && tcp_syn_exceeds(flow.tcp, *request.syn);
    case FlowClass::half_open:
    case FlowClass::one_way:
      return true;
    case FlowClass::live:
      break;
  }
  return false;
}

/// Whose port is taken where none is free: flows give way in the order in which they do when the table is full.
class Fallback {
 public:
  bool found() const { return port_.reclaimed != kNoFlow; }
  bool is_closed() const { return found() && flow_class_ == FlowClass::closed; }
  const SourcePort& port() const { return port_; }

  void offer(std::uint16_t port, FlowId id, const FlowRecord& flow) {
    const bool better =
        flow.flow_class < flow_class_ || (flow.flow_class == flow_class_ && flow.last_seen < last_seen_);
    if (found() && !better) return;
    port_ = {port, id};
    flow_class_ = flow.flow_class;
    last_seen_ = flow.last_seen;
  }

 private:
  SourcePort port_;
  FlowClass flow_class_ = FlowClass::live;
  Time last_seen_;
};

/// Looks at one port; true when it is free. Offers a flow that would give up its port as the fallback.
bool try_port(std::uint16_t port, const SourceRequest& request, const FlowTable& flows, Time now, Fallback& fallback) {
  const Tuple reply{request.backend.address, request.source, request.backend.port, port};
  const auto holder = flows.find(request.protocol, reply);
  if (!holder) return true;
  if (gives_up_port(flows[holder.id], request, now)) fallback.offer(port, holder.id, flows[holder.id]);
  return false;
}

std::uint64_t hash_of(const SourceRequest& request, const KeyedHash& hash) {
  return hash(hash(request.client), hash(request.backend) ^ request.source.value() ^
                                        std::uint64_t{static_cast<std::uint8_t>(request.protocol)} << 32);
}

/// Makes a pool of what the flows use.
PortPool& survey(const PortPools::Key& key, std::uint8_t shard, const FlowTable& flows, PortPools& pools) {
  PortPool& pool = pools.add(key);
  for (std::uint32_t index = 0; index < kPortsOfShard; ++index) {
    const Tuple reply{key.backend.address, key.source, key.backend.port, nth_port(shard, index)};
    if (flows.find(key.protocol, reply)) pool.take(index);
  }
  return pool;
}

}  // namespace

std::uint16_t first_masquerade_port(const SourceRequest& request, const KeyedHash& hash) {
  return Walk(request.shard, hash_of(request, hash)).next();
}

std::optional<SourcePort> choose_masquerade_port(const SourceRequest& request, const FlowTable& flows, PortPools& pools,
                                                 const KeyedHash& hash, Time now) {
  const std::uint64_t random = hash_of(request, hash);
  const PortPools::Key key{request.protocol, request.backend, request.source};
  Walk walk(request.shard, random);
  Fallback fallback;
  PortPool* pool = pools.find(key);
  if (pool == nullptr) {
    for (std::uint32_t tried = 0; tried < kPatience; ++tried) {
      const std::uint16_t port = walk.next();
      if (try_port(port, request, flows, now, fallback)) return SourcePort{port, kNoFlow};
    }
    pool = &survey(key, request.shard, flows, pools);
  }
  while (const auto free = pool->find_free(random)) {
    const std::uint16_t port = nth_port(request.shard, *free);
    if (try_port(port, request, flows, now, fallback)) return SourcePort{port, kNoFlow};
    pool->take(*free);  // by something that is no flow, as an announced data connection
  }
  for (std::uint32_t tried = 0; tried < kPortsOfShard; ++tried) {
    if (fallback.found() && tried >= (fallback.is_closed() ? kComparedClosed : kCompared)) break;
    const std::uint16_t port = walk.next();
    if (try_port(port, request, flows, now, fallback)) return SourcePort{port, kNoFlow};
  }
  if (!fallback.found()) return std::nullopt;
  return fallback.port();
}

std::optional<SourcePort> choose_preserved_port(const SourceRequest& request, const FlowTable& flows,
                                                const Sharding& sharding, const KeyedHash& hash, Time now) {
  Fallback fallback;
  const bool leads_back = sharding.of_endpoint({request.source, request.client.port}) == request.shard;
  if (leads_back && try_port(request.client.port, request, flows, now, fallback))
    return SourcePort{request.client.port, kNoFlow};
  if (fallback.is_closed()) return fallback.port();
  constexpr std::uint32_t kPorts = 65536 - kFirstSourcePort;
  const std::uint64_t random = hash_of(request, hash);
  for (std::uint32_t tried = 0; tried < kPorts; ++tried) {  // one in 64 leads back to the shard
    const auto port = static_cast<std::uint16_t>(kFirstSourcePort + (random + tried) % kPorts);
    if (sharding.of_endpoint({request.source, port}) != request.shard) continue;
    if (try_port(port, request, flows, now, fallback)) return SourcePort{port, kNoFlow};
  }
  if (!fallback.found()) return std::nullopt;
  return fallback.port();
}

}  // namespace vipgate
