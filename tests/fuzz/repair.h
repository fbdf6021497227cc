#pragma once

#include <cstdint>
#include <span>

#include "vipgate/packet.h"

namespace vipgate::fuzz {

// What no fuzzer guesses: lengths and checksums. Each call changes nothing where the bytes are no packet that has such
// a field.

void repair_total_length(std::span<std::uint8_t> packet);
void repair_ip_checksum(std::span<std::uint8_t> packet);
/// Of the header behind an ICMP header.
void repair_quoted_ip_checksum(std::span<std::uint8_t> packet);

/// Of TCP, UDP and ICMP.
void repair_transport_checksum(std::span<std::uint8_t> packet);

/// Of TCP and UDP: puts the pseudo-header's sum into the field, and says so in `virtio`.
void make_transport_checksum_partial(std::span<std::uint8_t> packet, VirtioHeader& virtio);

}  // namespace vipgate::fuzz
