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
/// checksums of packets from outside are looked at; everything behind it relies on them. It is filled in place and in
/// two steps, since fragments have no second one before they are whole.
struct PacketView {
  Ipv4View ip;
  Protocol protocol = Protocol::tcp;
  ChecksumKind checksum = ChecksumKind::complete;
  TcpView tcp;    ///< where protocol is tcp
  UdpView udp;    ///< where protocol is udp
  IcmpView icmp;  ///< where protocol is icmp

  /// `ip`, of the IPv4 packet at the beginning of `packet`: version, lengths and header checksum are right. Drops the
  /// bytes behind its total length from `packet`.
  [[nodiscard]] Reason parse_ip(Packet& packet);

  /// The rest, for an `ip` that is no fragment. `packet` is that of `ip`.
  [[nodiscard]] Reason parse_transport(const Packet& packet);
};

}  // namespace vipgate
