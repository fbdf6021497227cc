#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vipgate/address.h"
#include "vipgate/packet.h"

namespace vipgate {

/// One line about a packet: "tcp 198.51.100.7:40000 > 203.0.113.10:80 S seq 1 win 64240 length 0". Broken packets are
/// described as far as they go.
std::string describe(std::span<const std::uint8_t> ip_packet);

/// The packet that a line like that describes, with what it leaves out as most packets have it: "tcp A:P > B:P" is a
/// SYN. TCP, UDP and echo messages; right checksums. `error` is empty, or says what is wrong with the line.
struct Composed {
  std::vector<std::uint8_t> bytes;
  std::string error;
};
Composed compose(std::string_view line);

/// Source and destination of a packet, with port 0 where it has none; nothing where it is no whole IPv4 packet.
struct PacketEndpoints {
  Endpoint source;
  Endpoint destination;
};
std::optional<PacketEndpoints> endpoints_of(std::span<const std::uint8_t> ip_packet);

/// The virtio header of a packet from a capture. A transport checksum that equals the pseudo-header sum is taken as
/// partial, as it is in captures from the sending host; packets larger than `mtu` with such a checksum, as
/// super-packets.
VirtioHeader virtio_header_of_capture(std::span<const std::uint8_t> ip_packet, std::size_t mtu);

/// Finishes a partial transport checksum as a device would that sends the packet; of a super-packet, the one of the
/// whole. Any other packet stays as it is, as does one of which bytes are missing.
void finish_checksum(std::span<std::uint8_t> ip_packet, const VirtioHeader& virtio);

/// Whether IPv4 header and transport checksums are right, a partial one by its pseudo-header sum.
bool checksums_are_right(const Packet& packet);

}  // namespace vipgate
