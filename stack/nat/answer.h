#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "vipgate/packet.h"
#include "wire/packet_view.h"

namespace vipgate {

// Packets that the gateway makes itself, in the name of the address that was asked.

/// RFC 1812 §4.3.2.3: an ICMP error quotes as much as fits into 576 bytes.
inline constexpr std::size_t kAnswerBufferSize = 576;

/// Turns an echo request into its reply, in place (RFC 1122 §3.2.2.6: the data comes back unchanged).
void turn_into_echo_reply(Packet& packet, const PacketView& request);

/// The RST that answers a segment of no connection (RFC 9293 §3.10.7.1). None for a RST.
std::optional<Packet> make_reset(const PacketView& segment, std::span<std::uint8_t, kAnswerBufferSize> buffer);

/// An ICMP Destination Unreachable with this code about the packet. None where RFC 1812 §4.3.2.7 forbids it: about an
/// ICMP error.
std::optional<Packet> make_unreachable(const PacketView& about, std::uint8_t code,
                                       std::span<std::uint8_t, kAnswerBufferSize> buffer);

}  // namespace vipgate
