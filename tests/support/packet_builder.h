#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vipgate/address.h"
#include "vipgate/packet.h"
#include "vipgate/rules.h"

// Packets for tests, so that a test reads as traffic:
//
//     const auto web = tcp("198.51.100.7:40000", "203.0.113.10:80");
//     WirePacket syn = web.syn().seq(1).mss(1460).build();
//
// Nothing here uses the checksum code of the stack: it is what that code is compared with.

namespace vipgate::test {

Ipv4Address address(std::string_view text);  ///< "198.51.100.7"
Endpoint endpoint(std::string_view text);    ///< "198.51.100.7:40000"

/// A packet with the memory that it lives in, spare room behind it included. Copies are packets of their own.
class WirePacket {
 public:
  WirePacket(std::span<const std::uint8_t> bytes, const VirtioHeader& virtio);

  /// The packet as the engine takes it. It refers to this object's memory, and so sees what is done to it there.
  Packet packet() { return {.bytes = std::span(memory_).first(size_), .virtio = virtio_}; }
  std::span<std::uint8_t> bytes() { return std::span(memory_).first(size_); }
  std::span<const std::uint8_t> bytes() const { return std::span(memory_).first(size_); }
  const VirtioHeader& virtio() const { return virtio_; }

 private:
  std::vector<std::uint8_t> memory_;
  std::size_t size_;
  VirtioHeader virtio_;
};

/// A packet in the making. Each call returns a changed copy, so that packets can be derived from one another.
class PacketBuilder {
 public:
  PacketBuilder(Protocol protocol, const Endpoint& source, const Endpoint& destination);

  WirePacket build() const;

  // TCP
  PacketBuilder syn() const { return flag(0x02); }
  PacketBuilder fin() const { return flag(0x01); }
  PacketBuilder rst() const { return flag(0x04); }
  PacketBuilder psh() const { return flag(0x08); }
  PacketBuilder urg() const { return flag(0x20); }
  PacketBuilder flags(std::uint8_t all) const;
  PacketBuilder ack(std::uint32_t number) const;  ///< sets the flag too
  PacketBuilder win(std::uint16_t window) const;
  PacketBuilder mss(std::uint16_t size) const;
  PacketBuilder window_scale(std::uint8_t shift) const;
  PacketBuilder sack_permitted() const;
  PacketBuilder sack(std::initializer_list<std::pair<std::uint32_t, std::uint32_t>> blocks) const;  ///< {left, right}
  PacketBuilder timestamp(std::uint32_t value, std::uint32_t echo = 0) const;
  PacketBuilder tcp_option_bytes(std::initializer_list<std::uint8_t> raw) const;  ///< padded with end-of-list

  // TCP and ICMP echo
  PacketBuilder seq(std::uint32_t number) const;

  // ICMP
  PacketBuilder type(std::uint8_t type, std::uint8_t code = 0) const;
  PacketBuilder mtu(std::uint16_t next_hop) const;  ///< of "fragmentation needed"
  PacketBuilder quoting(const WirePacket& packet, std::size_t at_most = 548) const;

  // all
  PacketBuilder payload(std::string_view text) const;
  PacketBuilder payload_of(std::size_t size) const;  ///< so many bytes of a pattern
  PacketBuilder ttl(std::uint8_t hops) const;
  PacketBuilder tos(std::uint8_t field) const;
  PacketBuilder ip_id(std::uint16_t id) const;
  PacketBuilder fragment(std::size_t offset, bool more) const;
  PacketBuilder ip_options(std::initializer_list<std::uint8_t> raw) const;  ///< padded with end-of-list
  PacketBuilder trailing(std::size_t size) const;  ///< bytes behind the IP packet, as Ethernet's padding

  // Checksums; complete and right where nothing else is asked for
  PacketBuilder partial_checksum() const;       ///< the pseudo-header's sum, for a device to finish
  PacketBuilder gso(std::uint16_t size) const;  ///< super-packet of segments of this size; with a partial checksum
  PacketBuilder verified() const;               ///< the device said that it is right
  PacketBuilder no_checksum() const;            ///< UDP: 0
  PacketBuilder wrong_checksum() const;         ///< of TCP, UDP or ICMP
  PacketBuilder wrong_ip_checksum() const;

  /// Overwrites the byte at `offset` of the packet before checksums are computed: for malformed packets that are
  /// otherwise right.
  PacketBuilder byte(std::size_t offset, std::uint8_t value) const;

 private:
  enum class Checksum { complete, verified, partial, none, wrong };

  PacketBuilder flag(std::uint8_t bits) const { return flags(flags_ | bits); }
  PacketBuilder checksum(Checksum kind) const;
  PacketBuilder option(std::initializer_list<std::uint8_t> bytes) const;
  std::size_t ip_header_size() const { return 20 + ip_options_.size(); }
  std::vector<std::uint8_t> transport_header() const;
  VirtioHeader virtio(std::size_t headers) const;

  Protocol protocol_;
  Endpoint source_;
  Endpoint destination_;
  std::uint8_t tos_ = 0;
  std::uint8_t ttl_ = 64;
  std::uint16_t ip_id_ = 0x1234;
  std::uint16_t fragment_ = 0x4000;  // Don't Fragment
  std::vector<std::uint8_t> ip_options_;
  bool wrong_ip_checksum_ = false;
  std::size_t trailing_ = 0;

  std::uint32_t sequence_ = 0;
  std::uint32_t acknowledgement_ = 0;
  std::uint8_t flags_ = 0;
  std::uint16_t window_ = 64240;
  std::vector<std::uint8_t> tcp_options_;

  std::uint8_t type_ = 0;
  std::uint8_t code_ = 0;

  std::vector<std::uint8_t> payload_;
  Checksum checksum_ = Checksum::complete;
  std::uint16_t gso_size_ = 0;
  std::vector<std::pair<std::size_t, std::uint8_t>> overwritten_;
};

PacketBuilder tcp(std::string_view source, std::string_view destination);  ///< a segment with no flag yet
PacketBuilder udp(std::string_view source, std::string_view destination);
PacketBuilder echo_request(std::string_view source, std::string_view destination, std::uint16_t id);
PacketBuilder echo_reply(std::string_view source, std::string_view destination, std::uint16_t id);
PacketBuilder icmp_error(std::string_view source, std::string_view destination, std::uint8_t type, std::uint8_t code);

/// One's complement sum of `bytes`, byte by byte; not complemented. 0xffff over data with its right checksum.
std::uint16_t naive_sum(std::span<const std::uint8_t> bytes);

/// The sum of a packet's transport bytes and pseudo-header (of ICMP: the message alone): 0xffff when the checksum is
/// right, and otherwise by how much it is wrong. For packets with IPv4 and transport headers that are sound.
std::uint16_t naive_transport_sum(std::span<const std::uint8_t> ip_packet);

/// What is wrong with a packet's checksums, in words; empty when nothing is. A partial checksum has to be the
/// pseudo-header's sum, and the virtio header has to name the place of it. Of a fragment the IPv4 header's alone.
std::string checksum_fault(const Packet& packet);

}  // namespace vipgate::test
