#pragma once

#include "flow/tuple.h"
#include "vipgate/packet.h"
#include "wire/packet_view.h"

namespace vipgate {

/// The tuple that a packet bears: addresses and ports, or the identifier of an ICMP query on both sides.
inline Tuple tuple_of(const PacketView& view) {
  if (view.protocol == Protocol::icmp) {
    return {view.ip.source(), view.ip.destination(), view.icmp.id(), view.icmp.id()};
  }
  static_assert(tcp::kSourcePort == udp::kSourcePort && tcp::kDestinationPort == udp::kDestinationPort);
  const std::uint8_t* transport = view.ip.payload().data();
  return {view.ip.source(), view.ip.destination(), load16(transport + tcp::kSourcePort),
          load16(transport + tcp::kDestinationPort)};
}

/// Gives the packet another tuple, in place, and keeps its checksums as right or wrong as they were (RFC 1624 equation
/// 3): the IPv4 header's by the addresses, a complete transport checksum by addresses and ports, a partial one by the
/// addresses alone, since it is the pseudo-header's sum. A UDP checksum of 0 stays 0, and a computed 0 is sent as
/// 0xffff (RFC 768). ICMP's is computed anew. The identification of what may be fragmented is changed by
/// ip_id_offset().
void rewrite(Packet& packet, const PacketView& view, const Tuple& to);

}  // namespace vipgate
