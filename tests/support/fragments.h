#pragma once

#include <cstddef>
#include <vector>

#include "support/packet_builder.h"

namespace vipgate::test {

/// What send_as_it_came() makes of a packet that came in fragments of at most `size` bytes.
inline std::vector<WirePacket> fragments_of(WirePacket whole, std::size_t size) {
  struct Collector final : PacketSink {
    std::vector<WirePacket> packets;
    void send(const Packet& packet) override { packets.emplace_back(packet.bytes, packet.virtio); }
  } collector;
  Packet packet = whole.packet();
  packet.fragment_size = static_cast<std::uint16_t>(size);
  send_as_it_came(packet, collector);
  return collector.packets;
}

}  // namespace vipgate::test
