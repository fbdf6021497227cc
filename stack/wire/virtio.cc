#include "wire/virtio.h"

#include "vipgate/inspect.h"
#include "wire/checksum.h"
#include "wire/icmp.h"

namespace vipgate {
namespace {

constexpr std::uint8_t number(Protocol protocol) {
  return static_cast<std::uint8_t>(protocol);
}

/// The bytes that a TCP or UDP checksum covers behind the pseudo-header; none where the packet has no such checksum.
std::span<const std::uint8_t> checksummed_bytes(const Ipv4View& ip) {
  if (ip.is_fragment()) return {};
  if (ip.protocol() == number(Protocol::tcp)) {
    return TcpView::parse(ip.payload()) ? ip.payload() : std::span<const std::uint8_t>();
  }
  if (ip.protocol() != number(Protocol::udp)) return {};
  const auto udp = UdpView::parse(ip.payload());
  return udp ? ip.payload().first(udp->length()) : std::span<const std::uint8_t>();
}

std::uint16_t pseudo_sum(const Ipv4View& ip, std::span<const std::uint8_t> transport) {
  return pseudo_header_sum(ip.source(), ip.destination(), static_cast<Protocol>(ip.protocol()),
                           static_cast<std::uint32_t>(transport.size()));
}

}  // namespace

VirtioHeader partial_checksum_header(const Ipv4View& ip) {
  VirtioHeader virtio;
  virtio.flags = VirtioHeader::kNeedsChecksum;
  virtio.checksum_start = static_cast<std::uint16_t>(ip.header_length());
  virtio.checksum_offset = static_cast<std::uint16_t>(checksum_field_offset(static_cast<Protocol>(ip.protocol())));
  return virtio;
}

VirtioHeader virtio_header_of_capture(std::span<const std::uint8_t> ip_packet, std::size_t mtu) {
  const auto ip = Ipv4View::parse(ip_packet);
  if (!ip) return {};
  const auto transport = checksummed_bytes(*ip);
  if (transport.empty()) return {};
  const bool is_tcp = ip->protocol() == number(Protocol::tcp);
  const std::size_t field = checksum_field_offset(static_cast<Protocol>(ip->protocol()));
  if (load16(transport.data() + field) != pseudo_sum(*ip, transport)) return {};

  VirtioHeader virtio = partial_checksum_header(*ip);
  if (is_tcp && ip->total_length() > mtu) {
    const std::size_t headers = ip->header_length() + TcpView::parse(ip->payload())->header_length();
    virtio.gso_type = VirtioHeader::kGsoTcpV4;
    virtio.header_length = static_cast<std::uint16_t>(headers);
    virtio.gso_size = static_cast<std::uint16_t>(mtu > headers ? mtu - headers : 1);
  }
  return virtio;
}

void finish_checksum(std::span<std::uint8_t> ip_packet, const VirtioHeader& virtio) {
  const auto ip = Ipv4View::parse(ip_packet);
  if (!ip || ip->is_fragment() || (virtio.flags & VirtioHeader::kNeedsChecksum) == 0) return;
  const auto transport = checksummed_bytes(*ip);
  const auto kind = checksum_kind(virtio, *ip);
  if (transport.empty() || !kind || *kind != ChecksumKind::partial) return;
  // The field holds the pseudo-header's sum, so that the sum of all is already that of what the checksum covers.
  const auto checksum = static_cast<std::uint16_t>(~checksum_sum(transport));
  const bool means_none = ip->protocol() == number(Protocol::udp) && checksum == udp::kNoChecksum;
  store16(ip_packet.data() + ip->header_length() + virtio.checksum_offset, means_none ? 0xffff : checksum);
}

bool checksums_are_right(const Packet& packet) {
  const auto ip = Ipv4View::parse(packet.bytes);
  if (!ip || !ip->checksum_is_right()) return false;
  if (ip->is_fragment()) return true;
  if (ip->protocol() == number(Protocol::icmp)) return checksum_sum(ip->payload()) == 0xffff;
  const auto transport = checksummed_bytes(*ip);
  if (transport.empty()) return true;
  const auto kind = checksum_kind(packet.virtio, *ip);
  if (!kind) return false;
  const std::uint16_t pseudo = pseudo_sum(*ip, transport);
  const std::uint16_t field = load16(transport.data() + checksum_field_offset(static_cast<Protocol>(ip->protocol())));
  if (*kind == ChecksumKind::partial) return field == pseudo;
  if (ip->protocol() == number(Protocol::udp) && field == udp::kNoChecksum) return true;
  return checksum_sum(transport, pseudo) == 0xffff;
}

}  // namespace vipgate
