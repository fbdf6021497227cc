#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace vipgate {

/// What TUN and virtio say about a packet's checksum and segmentation: `struct virtio_net_hdr` of virtio 1.2 §5.1.6, in
/// host byte order, as a TUN with IFF_VNET_HDR puts it before each packet.
struct VirtioHeader {
  std::uint8_t flags = 0;
  std::uint8_t gso_type = 0;
  std::uint16_t header_length = 0;    ///< bytes; a hint only
  std::uint16_t gso_size = 0;         ///< payload bytes of one segment
  std::uint16_t checksum_start = 0;   ///< offset in the IP packet from which the checksum runs
  std::uint16_t checksum_offset = 0;  ///< offset of the checksum field behind `checksum_start`

  static constexpr std::uint8_t kNeedsChecksum = 1;  ///< flags: the field holds the pseudo-header sum only
  static constexpr std::uint8_t kDataValid = 2;      ///< flags: the checksum was verified already

  static constexpr std::uint8_t kGsoNone = 0;
  static constexpr std::uint8_t kGsoTcpV4 = 1;
  static constexpr std::uint8_t kGsoUdpL4 = 5;
  static constexpr std::uint8_t kGsoEcn = 0x80;  ///< added to a TCP type: the segments carry ECN
};
static_assert(sizeof(VirtioHeader) == 10);

/// One IP packet (or a super-packet of many segments) in memory of the caller, changed in place.
struct Packet {
  std::span<std::uint8_t> bytes;  ///< from the first byte of the IP header to the end of the data
  VirtioHeader virtio{};
  std::uint16_t fragment_size = 0;  ///< of a datagram that came in fragments: bytes of the largest; else 0
};

/// Room that a caller keeps free behind the data of each packet it gives to the engine, in bytes.
inline constexpr std::size_t kSpareRoom = 256;

/// The largest IP packet (RFC 791 §3.1, Total Length).
inline constexpr std::size_t kMaxPacketSize = 65535;

/// Takes the packets that the engine makes itself: echo replies, RST segments, ICMP errors. The bytes are valid during
/// the call.
class PacketSink {
 public:
  virtual ~PacketSink() = default;
  virtual void send(const Packet& packet) = 0;
};

/// Sends a packet that was forwarded or passed: whole, or, where it came in fragments, in fragments that are no larger
/// than those were.
void send_as_it_came(const Packet& packet, PacketSink& sink);

}  // namespace vipgate
