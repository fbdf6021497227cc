#pragma once

#include "wire/packet_view.h"

namespace vipgate::test {

/// Both steps of parsing, for a packet that is no fragment.
inline Parsed<PacketView> parse_packet(Packet& packet) {
  PacketView view;
  Reason reason = view.parse_ip(packet);
  if (reason == Reason::none) reason = view.parse_transport(packet);
  return reason == Reason::none ? Parsed<PacketView>(view) : reason;
}

}  // namespace vipgate::test
