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
  const Reason reason = view.tcp.assign(view.ip.payload());
  if (reason != Reason::none) return reason;
  if (!transport_checksum_is_right(view, view.ip.payload())) return Reason::tcp_checksum;
  const bool has_ports = view.tcp.source_port() != 0 && view.tcp.destination_port() != 0;
  return has_ports ? Reason::none : Reason::zero_port;
}

Reason parse_udp(PacketView& view) {
  const Reason reason = view.udp.assign(view.ip.payload());
  if (reason != Reason::none) return reason;
  const bool has_checksum = view.checksum == ChecksumKind::partial || view.udp.checksum() != udp::kNoChecksum;
  if (has_checksum && !transport_checksum_is_right(view, view.ip.payload().first(view.udp.length()))) {
    return Reason::udp_checksum;
  }
  const bool has_ports = view.udp.source_port() != 0 && view.udp.destination_port() != 0;
  return has_ports ? Reason::none : Reason::zero_port;
}

Reason parse_icmp(PacketView& view, const VirtioHeader& virtio) {
  const bool offloaded =
      virtio.gso_type != VirtioHeader::kGsoNone || (virtio.flags & VirtioHeader::kNeedsChecksum) != 0;
  if (offloaded) return Reason::virtio_header;
  const auto icmp = IcmpView::parse(view.ip.payload());
  if (!icmp) return icmp.reason();
  if (checksum_sum(icmp->bytes()) != 0xffff) return Reason::icmp_checksum;
  view.checksum = ChecksumKind::complete;
  view.icmp = *icmp;
  return Reason::none;
}

}  // namespace

Reason PacketView::parse_ip(Packet& packet) {
  if (const Reason reason = ip.assign(packet.bytes); reason != Reason::none) return reason;
  if (!ip.checksum_is_right()) return Reason::ip_checksum;
  packet.bytes = packet.bytes.first(ip.total_length());
  return Reason::none;
}

Reason PacketView::parse_transport(const Packet& packet) {
  protocol = static_cast<Protocol>(ip.protocol());
  if (protocol == Protocol::icmp) return parse_icmp(*this, packet.virtio);
  if (protocol != Protocol::tcp && protocol != Protocol::udp) return Reason::unknown_protocol;
  const auto kind = checksum_kind(packet.virtio, ip);
  if (!kind) return kind.reason();
  checksum = *kind;
  return protocol == Protocol::tcp ? parse_tcp(*this) : parse_udp(*this);
}

}  // namespace vipgate
