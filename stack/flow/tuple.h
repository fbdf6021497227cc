#pragma once

#include <cstdint>

#include "vipgate/address.h"
#include "vipgate/rules.h"

namespace vipgate {

/// Source and destination endpoint of packets in one direction. For ICMP queries both ports are the identifier.
struct Tuple {
  Ipv4Address source;
  Ipv4Address destination;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;

  constexpr Endpoint source_endpoint() const { return {source, source_port}; }
  constexpr Endpoint destination_endpoint() const { return {destination, destination_port}; }
  constexpr Tuple reversed() const { return {destination, source, destination_port, source_port}; }
  constexpr bool operator==(const Tuple&) const = default;
};
static_assert(sizeof(Tuple) == 12);

}  // namespace vipgate
