#pragma once

#include <cstddef>

#include "vipgate/packet.h"
#include "vipgate/rules.h"
#include "wire/ipv4.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace vipgate {

/// How much of a packet's transport checksum is already there (virtio 1.2 §5.1.6.2, Linux's tun.c).
enum class ChecksumKind : std::uint8_t {
  complete,  ///< the field holds the checksum
  verified,  ///< the same, and somebody has verified it
  partial,   ///< the field holds the folded, uncomplemented pseudo-header sum; a device finishes it
};

/// Offset of the checksum field in the transport header of TCP (16) or UDP (6).
constexpr std::size_t checksum_field_offset(Protocol protocol) {
  return protocol == Protocol::tcp ? tcp::kChecksum : udp::kChecksum;
}

/// Whether packets of the protocol, TCP or UDP, can be segmented so.
constexpr bool segmentation_fits(std::uint8_t gso_type, Protocol protocol) {
  if (protocol == Protocol::udp) return gso_type == VirtioHeader::kGsoUdpL4;
  return (gso_type & ~VirtioHeader::kGsoEcn) == VirtioHeader::kGsoTcpV4;
}

/// How the checksum of a TCP or UDP packet stands, or Reason::virtio_header where the virtio header contradicts the
/// packet: a partial checksum that is not the transport's own, or segmentation without one.
inline Parsed<ChecksumKind> checksum_kind(const VirtioHeader& virtio, const Ipv4View& ip) {
  const auto protocol = static_cast<Protocol>(ip.protocol());
  const bool partial = (virtio.flags & VirtioHeader::kNeedsChecksum) != 0;
  const bool segmented = virtio.gso_type != VirtioHeader::kGsoNone;
  if (segmented && (!segmentation_fits(virtio.gso_type, protocol) || !partial || virtio.gso_size == 0)) {
    return Reason::virtio_header;
  }
  if (!partial) {
    return (virtio.flags & VirtioHeader::kDataValid) != 0 ? ChecksumKind::verified : ChecksumKind::complete;
  }
  if (virtio.checksum_start != ip.header_length() || virtio.checksum_offset != checksum_field_offset(protocol)) {
    return Reason::virtio_header;
  }
  return ChecksumKind::partial;
}

/// The virtio header of a whole packet whose TCP or UDP checksum is left to be finished by whoever transmits it.
VirtioHeader partial_checksum_header(const Ipv4View& ip);

}  // namespace vipgate
