#pragma once

#include "vipgate/packet.h"
#include "vipgate/rules.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/tcp.h"
#include "wire/udp.h"
#include "wire/virtio.h"

namespace vipgate {

/// A whole packet, checked from the version field to the transport checksum. This is the one place where lengths and
/// checksums of packets from outside are looked at; everything behind it relies on them.
struct PacketView {
  Ipv4View ip;
  Protocol protocol = Protocol::tcp;
  ChecksumKind checksum = ChecksumKind::complete;
  TcpView tcp;    ///< where protocol is tcp
  UdpView udp;    ///< where protocol is udp
  IcmpView icmp;  ///< where protocol is icmp

  /// Drops the bytes behind the IP packet's total length from `packet`.
  static Parsed<PacketView> parse(Packet& packet);
};

}  // namespace vipgate
