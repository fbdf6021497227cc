#pragma once

#include <cstdint>

#include "flow/hash.h"
#include "vipgate/address.h"

namespace vipgate {

/// What is added to the identification of a datagram that may be fragmented when it changes its source address. RFC
/// 6864 §4.3 wants identifications unique for source, destination and protocol, and senders that hide behind one
/// address do not know of each other. Each keeps the order that it gave its own, at a distance of its own: datagrams of
/// one sender never meet, those of two no more often than random numbers do.
inline std::uint16_t ip_id_offset(Ipv4Address from, Ipv4Address to) {
  if (from == to) return 0;
  constexpr std::uint64_t kKey = 6864;
  return static_cast<std::uint16_t>(KeyedHash(kKey)(from.value(), to.value()));
}

}  // namespace vipgate
