#pragma once

#include <cstdint>

#include "vipgate/packet.h"
#include "wire/packet_view.h"

namespace vipgate {

/// Lowers the maximum segment size that a SYN offers (RFC 9293 §3.7.1) by `margin`, and to `limit` where it is still
/// above, in place, checksum included. A SYN without the option, or with a broken one, stays as it is.
void lower_mss(Packet& packet, const PacketView& syn, std::uint16_t limit, std::uint16_t margin);

}  // namespace vipgate
