#include "wire/packet_view.h"

namespace vipgate {
namespace {

/// A wrong checksum must neither change state nor be "repaired" by an incremental update, so it is verified wherever
/// nobody has.
bool transport_checksum_is_right(const PacketView& view, std::span<const std::uint8_t> transport) {
  if (view.checksum != ChecksumKind::complete) return true;
  const auto length = static_cast<std::uint32_t>(transport.size());
  return checksum_sum(transport, pseudo_header_sum(view.ip.source(), view.ip.destination(), view.protocol, length)) ==
         0xffff;
}

Reason parse_tcp(PacketView& view) {
  const auto tcp = TcpView::parse(view.ip.payload());
  if (!tcp) return tcp.reason();
  if (!transport_checksum_is_right(view, view.ip.payload())) return Reason::tcp_checksum;
  if (tcp->source_port() == 0 || tcp->destination_port() == 0) return Reason::zero_port;
  view.tcp = *tcp;
  return Reason::none;
}

Reason parse_udp(PacketView& view) {
  const auto udp = UdpView::parse(view.ip.payload());
  if (!udp) return udp.reason();
  const bool has_checksum = view.checksum == ChecksumKind::partial || udp->checksum() != udp::kNoChecksum;
  if (has_checksum && !transport_checksum_is_right(view, view.ip.payload().first(udp->length()))) {
    return Reason::udp_checksum;
  }
  if (udp->source_port() == 0 || udp->destination_port() == 0) return Reason::zero_port;
  view.udp = *udp;
  return Reason::none;
}

Reason parse_icmp(PacketView& view) {
  const auto icmp = IcmpView::parse(view.ip.payload());
  if (!icmp) return icmp.reason();
  if (checksum_sum(icmp->bytes()) != 0xffff) return Reason::icmp_checksum;
  view.icmp = *icmp;
  return Reason::none;
}

}  // namespace

Parsed<Ipv4View> parse_ip(Packet& packet) {
  const auto ip = Ipv4View::parse(packet.bytes);
  if (!ip) return ip.reason();
  if (!ip->checksum_is_right()) return Reason::ip_checksum;
  packet.bytes = packet.bytes.first(ip->total_length());
  return ip;
}

Parsed<PacketView> PacketView::parse(const Packet& packet, const Ipv4View& ip) {
  PacketView view;
  view.ip = ip;
  view.protocol = static_cast<Protocol>(ip.protocol());
  if (view.protocol == Protocol::icmp) {
    if (packet.virtio.gso_type != VirtioHeader::kGsoNone || (packet.virtio.flags & VirtioHeader::kNeedsChecksum) != 0) {
      return Reason::virtio_header;
    }
    const Reason reason = parse_icmp(view);
    return reason == Reason::none ? Parsed<PacketView>(view) : reason;
  }
  if (view.protocol != Protocol::tcp && view.protocol != Protocol::udp) return Reason::unknown_protocol;
  const auto checksum = checksum_kind(packet.virtio, view.ip);
  if (!checksum) return checksum.reason();
  view.checksum = *checksum;
  const Reason reason = view.protocol == Protocol::tcp ? parse_tcp(view) : parse_udp(view);
  return reason == Reason::none ? Parsed<PacketView>(view) : reason;
}

}  // namespace vipgate
