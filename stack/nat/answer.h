#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "flow/tuple.h"
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

/// The RST that ends a connection, with the addresses and ports of `tuple`: `sequence` is what its receiver expects
/// next (RFC 5961 §3.2 asks for exactly that).
Packet make_final_reset(const Tuple& tuple, std::uint32_t sequence, std::span<std::uint8_t, kAnswerBufferSize> buffer);

/// An ICMP error of this type and code about the packet, from the address that it was sent to. None where RFC 1812
/// §4.3.2.7 forbids it: about an ICMP error, or about a fragment that is not the first.
std::optional<Packet> make_error(const Ipv4View& about, std::uint8_t type, std::uint8_t code,
                                 std::span<std::uint8_t, kAnswerBufferSize> buffer);

}  // namespace vipgate
