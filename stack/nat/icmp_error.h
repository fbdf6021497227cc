#pragma once

#include "flow/direction.h"
#include "flow/flow_record.h"
#include "vipgate/packet.h"
#include "wire/packet_view.h"

namespace vipgate {

/// The packet that an ICMP error is about, as far as it is quoted: the IP header and at least eight bytes behind it
/// (RFC 792).
struct QuotedPacket {
  Ipv4View ip;
  Protocol protocol = Protocol::tcp;
  Tuple tuple;                 ///< as the quoted packet bears it
  std::uint32_t sequence = 0;  ///< of TCP; where a helper offsets it, to be put back to what the sender sent

  /// Checks the quote: a whole IPv4 header with a right checksum (RFC 5508 REQ-3 b), of a first fragment, with ports or
  /// an echo identifier behind it; and the error addressed to the quoted sender, for anything else is forged
  /// (CVE-2019-5598). The quoted transport checksum is not looked at (REQ-3 c).
  static Parsed<QuotedPacket> parse(const PacketView& error);
};

/// Whether the error can be believed (RFC 5927 §4.1, §7.2): what it quotes of TCP is in flight, and an MTU it gives is
/// one that links have and that the quoted packet exceeds. Reason::none if so. The quoted sequence number must be as
/// the sender sent it, and `direction` that in which the error travels.
Reason objection_to(const PacketView& error, const QuotedPacket& quoted, const FlowRecord& flow, Direction direction);

/// Turns an error about a packet of this flow into what the other side must see (RFC 5508 REQ-4 and REQ-5), in place:
/// the quote gets the tuple that the quoted packet left its sender with, the error goes to that sender, and its source
/// becomes the address by which the sender knows the other side. Where the sender knows the other side by its real
/// address (preserve backends, hosts with egress) the network beyond is no secret, and the error keeps its source.
/// `direction` is that in which the error travels: the opposite of the quoted packet's.
void translate_error(Packet& packet, const PacketView& error, const QuotedPacket& quoted, const FlowRecord& flow,
                     Direction direction);

}  // namespace vipgate
