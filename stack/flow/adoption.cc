#include "flow/adoption.h"

#include <algorithm>

#include "flow/flow_policy.h"
#include "vipgate/verdict.h"

namespace vipgate {
namespace {

bool is_known(FlowKind kind) {
  switch (kind) {
    case FlowKind::service:
    case FlowKind::related:
    case FlowKind::egress:
    case FlowKind::mapping:
    case FlowKind::expectation:
      return true;
  }
  return false;
}

bool is_known(Protocol protocol) {
  return protocol == Protocol::tcp || protocol == Protocol::udp || protocol == Protocol::icmp;
}

}  // namespace

std::uint32_t seal_of(const FlowRecord& record, const KeyedHash& hash) {
  const std::uint64_t kind = std::uint64_t{static_cast<std::uint8_t>(record.kind)} << 56;
  const std::uint64_t seal = hash(hash(record.protocol, record.original), hash(record.protocol, record.reply) ^ kind);
  return static_cast<std::uint32_t>(seal >> 32);
}

bool make_fit(FlowRecord& record, const KeyedHash& hash, Time now, Found found) {
  // Behind the seal these can hold nothing else, but for one flaw in 2^32.
  if (record.seal != seal_of(record, hash) || !is_known(record.kind) || !is_known(record.protocol)) return false;
  if (record.protocol == Protocol::tcp) {
    if (!tcp_is_sound(record.tcp)) return false;
    if (found == Found::left) tcp_make_liberal(record.tcp);
  }
  record.answered = record.answered != 0 ? 1 : 0;
  record.flow_class = class_of(record);
  record.generation = 0;
  record.service = Verdict::kNoService;
  record.backend = 0;
  record.last_seen = std::clamp(record.last_seen, Time(), now);
  return true;
}

}  // namespace vipgate
