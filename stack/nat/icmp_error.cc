#include "nat/icmp_error.h"

#include "nat/ip_id.h"
#include "wire/bytes.h"
#include "wire/checksum.h"

namespace vipgate {
namespace {

/// Transport bytes that every error quotes (RFC 792): ports, and an identifier of a query.
constexpr std::size_t kQuotedTransport = 8;

/// RFC 791 §3.2: every link carries so much.
constexpr std::uint16_t kMinMtu = 68;

/// Where the quoted transport header has its checksum, if that part is quoted.
std::uint8_t* quoted_checksum(std::uint8_t* transport, std::size_t length, Protocol protocol) {
  const std::size_t offset = protocol == Protocol::icmp ? icmp::kChecksum : checksum_field_offset(protocol);
  return offset + 2 <= length ? transport + offset : nullptr;
}

void rewrite_quote(std::uint8_t* ip, const QuotedPacket& quoted, const Tuple& to) {
  const Tuple& from = quoted.tuple;
  ChecksumChange addresses;
  addresses.replace32(from.source.value(), to.source.value());
  addresses.replace32(from.destination.value(), to.destination.value());
  store32(ip + ipv4::kSource, to.source.value());
  store32(ip + ipv4::kDestination, to.destination.value());
  ChecksumChange header = addresses;
  if (!quoted.ip.dont_fragment()) {
    const std::uint16_t id = quoted.ip.id();
    const auto sent = static_cast<std::uint16_t>(id - ip_id_offset(to.source, from.source));
    store16(ip + ipv4::kId, sent);
    header.replace16(id, sent);
  }
  store16(ip + ipv4::kChecksum, header.apply(quoted.ip.checksum()));

  std::uint8_t* transport = ip + quoted.ip.header_length();
  std::uint8_t* checksum = quoted_checksum(transport, quoted.ip.payload().size(), quoted.protocol);
  ChecksumChange change;
  if (quoted.protocol == Protocol::icmp) {
    change.replace16(from.source_port, to.source_port);
    store16(transport + icmp::kId, to.source_port);
  } else {
    change = addresses;
    change.replace16(from.source_port, to.source_port);
    change.replace16(from.destination_port, to.destination_port);
    store16(transport + tcp::kSourcePort, to.source_port);
    store16(transport + tcp::kDestinationPort, to.destination_port);
    if (quoted.protocol == Protocol::tcp) {
      change.replace32(load32(transport + tcp::kSequence), quoted.sequence);
      store32(transport + tcp::kSequence, quoted.sequence);
    }
  }
  const bool has_none = quoted.protocol == Protocol::udp && checksum != nullptr && load16(checksum) == udp::kNoChecksum;
  if (checksum != nullptr && !has_none) store16(checksum, change.apply(load16(checksum)));
}

}  // namespace

Parsed<QuotedPacket> QuotedPacket::parse(const PacketView& error) {
  const auto ip = Ipv4View::parse_quoted(error.icmp.payload());
  if (!ip || !ip->checksum_is_right() || ip->fragment_offset() != 0) return Reason::icmp_embedded;
  if (ip->payload().size() < kQuotedTransport || ip->source() != error.ip.destination()) return Reason::icmp_embedded;
  QuotedPacket quoted;
  quoted.ip = *ip;
  quoted.protocol = static_cast<Protocol>(ip->protocol());
  quoted.tuple = {ip->source(), ip->destination(), 0, 0};
  const std::uint8_t* transport = ip->payload().data();
  switch (quoted.protocol) {
    case Protocol::tcp:
    case Protocol::udp:
      quoted.tuple.source_port = load16(transport + tcp::kSourcePort);
      quoted.tuple.destination_port = load16(transport + tcp::kDestinationPort);
      if (quoted.protocol == Protocol::tcp) quoted.sequence = load32(transport + tcp::kSequence);
      return quoted;
    case Protocol::icmp:
      // An error about an error must not be (RFC 1122 §3.2.2); only queries have an identifier to find a flow by.
      if (!IcmpView::parse(ip->payload())->is_query()) return Reason::icmp_embedded;
      quoted.tuple.source_port = quoted.tuple.destination_port = load16(transport + icmp::kId);
      return quoted;
  }
  return Reason::icmp_embedded;
}

Reason objection_to(const PacketView& error, const QuotedPacket& quoted, const FlowRecord& flow, Direction direction) {
  if (quoted.protocol == Protocol::tcp && !tcp_in_flight(flow.tcp, opposite(direction), quoted.sequence)) {
    return Reason::icmp_sequence;
  }
  const bool wants_smaller = error.icmp.type() == icmp::kUnreachable && error.icmp.code() == icmp::kFragmentationNeeded;
  if (!wants_smaller) return Reason::none;
  const std::uint16_t mtu = error.icmp.next_hop_mtu();
  const bool unstated = mtu == 0;  // RFC 1191 §5: from routers older than it
  return unstated || (mtu >= kMinMtu && mtu < quoted.ip.total_length()) ? Reason::none : Reason::icmp_mtu;
}

void translate_error(Packet& packet, const PacketView& error, const QuotedPacket& quoted, const FlowRecord& flow,
                     Direction direction) {
  // The quoted packet went the other way: it left its sender with the tuple of that direction.
  const Tuple& sent = direction == Direction::reply ? flow.original : flow.reply;
  std::uint8_t* ip = packet.bytes.data();
  std::uint8_t* message = ip + error.ip.header_length();
  rewrite_quote(message + icmp::kHeader, quoted, sent);
  icmp::write_checksum({message, error.icmp.bytes().size()});

  const Tuple& travels = direction == Direction::original ? flow.original : flow.reply;
  const bool shows_network = travels.source == sent.destination;
  const Ipv4Address source = shows_network ? error.ip.source() : sent.destination;
  ChecksumChange addresses;
  addresses.replace32(error.ip.source().value(), source.value());
  addresses.replace32(error.ip.destination().value(), sent.source.value());
  const std::uint16_t checksum = error.ip.checksum();
  store32(ip + ipv4::kSource, source.value());
  store32(ip + ipv4::kDestination, sent.source.value());
  store16(ip + ipv4::kChecksum, addresses.apply(checksum));
}

}  // namespace vipgate
