#pragma once

#include "vipgate/packet.h"
#include "vipgate/rules.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/tcp.h"
#include "wire/udp.h"
#include "wire/virtio.h"

namespace vipgate {

/// The IPv4 packet at the beginning of `packet`: version, lengths and header checksum are right. Drops the bytes behind
/// its total length from `packet`.
Parsed<Ipv4View> parse_ip(Packet& packet);

/// A whole packet, checked from the version field to the transport checksum. This is the one place where lengths and
/// checksums of packets from outside are looked at; everything behind it relies on them.
struct PacketView {
  Ipv4View ip;
  Protocol protocol = Protocol::tcp;
  ChecksumKind checksum = ChecksumKind::complete;
  TcpView tcp;    ///< where protocol is tcp
  UdpView udp;    ///< where protocol is udp
  IcmpView icmp;  ///< where protocol is icmp

  /// `ip` comes from parse_ip() and is no fragment.
  static Parsed<PacketView> parse(const Packet& packet, const Ipv4View& ip);
};

}  // namespace vipgate
