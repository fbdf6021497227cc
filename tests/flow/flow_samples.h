#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "flow/flow_index.h"
#include "flow/flow_record.h"

namespace vipgate::test {

/// The `number`-th of many flows, all of whose tuples differ: a client of 203.0.113.10:80, masqueraded as 203.0.113.14.
/// Its number stands in `generation`, so that whoever meets the record knows which it is.
inline FlowRecord numbered_flow(std::uint32_t number, Protocol protocol = Protocol::udp) {
  constexpr std::uint32_t kPortsUsed = 50000;
  const Ipv4Address client(0x0a000000 + number / kPortsUsed);
  const Ipv4Address backend(0xc0a80000 + number / kPortsUsed);
  const auto port = static_cast<std::uint16_t>(1024 + number % kPortsUsed);
  FlowRecord flow{};
  flow.original = {client, Ipv4Address(0xcb00710a), port, 80};
  flow.reply = {backend, Ipv4Address(0xcb00710e), 8080, port};
  flow.protocol = protocol;
  flow.flow_class = FlowClass::live;
  flow.generation = number;
  return flow;
}

/// Records and index for so many flows, as the owner of a table hands them over: zeroed.
struct FlowStorage {
  explicit FlowStorage(std::size_t flows) : records(flows), buckets(FlowIndex::buckets_for(flows)) {}

  std::vector<FlowRecord> records;
  std::vector<IndexBucket> buckets;
};

inline bool is_empty(std::span<const IndexBucket> buckets) {
  for (const IndexBucket& bucket : buckets) {
    if (bucket.passed_on != 0) return false;
    for (const std::uint16_t tag : bucket.tags) {
      if (tag != 0) return false;
    }
  }
  return true;
}

}  // namespace vipgate::test
