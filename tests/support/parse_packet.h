#pragma once

#include "wire/packet_view.h"

namespace vipgate::test {

/// Both steps of parsing, for a packet that is no fragment.
inline Parsed<PacketView> parse_packet(Packet& packet) {
  const auto ip = parse_ip(packet);
  return ip ? PacketView::parse(packet, *ip) : ip.reason();
}

}  // namespace vipgate::test
