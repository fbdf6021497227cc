#pragma once

#include <cstddef>

#include "vipgate/packet.h"
#include "vipgate/rules.h"
#include "wire/ipv4.h"

namespace vipgate {

/// How much of a packet's transport checksum is already there (virtio 1.2 §5.1.6.2, Linux's tun.c).
enum class ChecksumKind : std::uint8_t {
  complete,  ///< the field holds the checksum
  verified,  ///< the same, and somebody has verified it
  partial,   ///< the field holds the folded, uncomplemented pseudo-header sum; a device finishes it
};

/// Offset of the checksum field in the transport header of TCP (16) or UDP (6).
std::size_t checksum_field_offset(Protocol protocol);

/// How the checksum of a TCP or UDP packet stands, or Reason::virtio_header where the virtio header contradicts the
/// packet: a partial checksum that is not the transport's own, or segmentation without one.
Parsed<ChecksumKind> checksum_kind(const VirtioHeader& virtio, const Ipv4View& ip);

/// The virtio header of a whole packet whose TCP or UDP checksum is left to be finished by whoever transmits it.
VirtioHeader partial_checksum_header(const Ipv4View& ip);

}  // namespace vipgate
