#include "vipgate/coalesce.h"

#include <cstring>

#include "wire/checksum.h"
#include "wire/ipv4.h"
#include "wire/tcp.h"
#include "wire/udp.h"
#include "wire/virtio.h"

namespace vipgate {
namespace {

/// Linux takes no more segments of a datagram's (UDP_MAX_SEGMENTS of include/linux/udp.h before 6.9).
constexpr std::size_t kMaxUdpSegments = 64;

constexpr std::uint8_t number(Protocol protocol) {
  return static_cast<std::uint8_t>(protocol);
}

bool is_tcp(const std::uint8_t* ip) {
  return ip[ipv4::kProtocol] == number(Protocol::tcp);
}

/// Of addresses and ports.
std::size_t flow_hash(const std::uint8_t* ip) {
  constexpr std::uint32_t kGoldenRatio = 0x9e3779b1;  // Knuth, The Art of Computer Programming 3, §6.4
  const std::uint32_t ports = load32(ip + ipv4::kMinHeader);
  return (load32(ip + ipv4::kSource) ^ load32(ip + ipv4::kDestination) * 3 ^ ports) * kGoldenRatio >> 26;
}

bool same(const std::uint8_t* a, const std::uint8_t* b, std::size_t from, std::size_t to) {
  return std::memcmp(a + from, b + from, to - from) == 0;
}

/// But for lengths, identification and checksum.
bool same_ip_header(const std::uint8_t* a, const std::uint8_t* b) {
  return same(a, b, ipv4::kVersionLength, ipv4::kTotalLength) && same(a, b, ipv4::kFragment, ipv4::kChecksum) &&
         same(a, b, ipv4::kSource, ipv4::kMinHeader);
}

/// But for sequence number, flags and checksum.
bool same_tcp_header(const std::uint8_t* a, const std::uint8_t* b, std::size_t length) {
  return same(a, b, tcp::kSourcePort, tcp::kSequence) && same(a, b, tcp::kAcknowledgement, tcp::kFlags) &&
         same(a, b, tcp::kWindow, tcp::kChecksum) && same(a, b, tcp::kUrgent, length);
}

bool is_plain_data(std::uint8_t flags) {
  return (flags & ~tcp::kPsh) == tcp::kAck;
}

}  // namespace

void Coalescer::clear() {
  size_ = 0;
  forget_flows();
}

/// False: it is no TCP segment or datagram with data that could be one of several.
bool Coalescer::recognise(Piece& piece) const {
  const auto ip = Ipv4View::parse(piece.packet.bytes);
  if (!ip || ip->header_length() != ipv4::kMinHeader || ip->is_fragment()) return false;
  std::size_t transport = 0;
  if (ip->protocol() == number(Protocol::tcp)) {
    const auto tcp = TcpView::parse(ip->payload());
    if (!tcp) return false;
    transport = tcp->header_length();
    piece.is_open = what_ != Coalescing::none && is_plain_data(tcp->flags());
  } else if (ip->protocol() == number(Protocol::udp)) {
    const auto udp = UdpView::parse(ip->payload());
    if (!udp || udp->length() != ip->payload().size()) return false;
    transport = udp::kHeader;
    const bool partial = (piece.packet.virtio.flags & VirtioHeader::kNeedsChecksum) != 0;
    piece.is_open = what_ == Coalescing::tcp_and_udp && (partial || udp->checksum() != udp::kNoChecksum);
  } else {
    return false;
  }
  const VirtioHeader& virtio = piece.packet.virtio;
  const bool segmented = virtio.gso_type != VirtioHeader::kGsoNone;
  piece.payload = ip->payload().subspan(transport);
  piece.headers = static_cast<std::uint16_t>(ip->header_length() + transport);
  piece.payload_length = static_cast<std::uint32_t>(piece.payload.size());
  piece.segment = segmented ? virtio.gso_size : static_cast<std::uint16_t>(piece.payload_length);
  piece.segments = 1;
  piece.is_open =
      piece.is_open && piece.payload_length > 0 && piece.segment > 0 && (virtio.gso_type & VirtioHeader::kGsoEcn) == 0;
  if (piece.is_open) piece.segments = static_cast<std::uint16_t>((piece.payload_length - 1) / piece.segment + 1);
  return true;
}

void Coalescer::add(const Packet& packet, bool checked) {
  const auto index = static_cast<std::uint8_t>(size_++);
  Piece& piece = pieces_[index];
  piece = {};
  piece.packet = packet;
  if (!checked || !recognise(piece)) return forget_flows();  // it may be of any flow, and nothing shall overtake it
  const std::uint8_t* ip = piece.packet.bytes.data();
  std::uint8_t& latest = latest_[flow_hash(ip)];
  if (latest != kNone && may_follow(pieces_[latest], piece)) return join(pieces_[latest], index);
  latest = index;
  if (is_tcp(ip)) piece.is_open = piece.is_open && (ip[ipv4::kMinHeader + tcp::kFlags] & tcp::kPsh) == 0;
  piece.is_open = piece.is_open && piece.payload_length % piece.segment == 0;
}

bool Coalescer::may_follow(const Piece& first, const Piece& piece) const {
  if (!first.is_open || !piece.is_open || first.headers != piece.headers) return false;
  const bool fits = piece.segments == 1 ? piece.payload_length <= first.segment : piece.segment == first.segment;
  if (!fits || first.headers + first.payload_length + piece.payload_length > kMaxPacketSize) return false;
  const std::uint8_t* a = first.packet.bytes.data();
  const std::uint8_t* b = piece.packet.bytes.data();
  if (!same_ip_header(a, b)) return false;
  const bool is_atomic = (load16(a + ipv4::kFragment) & ipv4::kDontFragment) != 0;
  const auto next_id = static_cast<std::uint16_t>(load16(a + ipv4::kId) + first.segments);
  if (!is_atomic && load16(b + ipv4::kId) != next_id) return false;
  a += ipv4::kMinHeader;
  b += ipv4::kMinHeader;
  if (is_tcp(first.packet.bytes.data())) {
    return load32(b + tcp::kSequence) == load32(a + tcp::kSequence) + first.payload_length &&
           same_tcp_header(a, b, first.headers - ipv4::kMinHeader);
  }
  return same(a, b, udp::kSourcePort, udp::kLength) && first.segments + piece.segments <= kMaxUdpSegments;
}

void Coalescer::join(Piece& first, std::uint8_t index) {
  Piece& piece = pieces_[index];
  (first.last == kNone ? first.next : pieces_[first.last].next) = index;
  first.last = index;
  piece.is_joined = true;
  first.payload_length += piece.payload_length;
  first.segments = static_cast<std::uint16_t>(first.segments + piece.segments);
  first.is_open = first.payload_length % first.segment == 0;
  std::uint8_t* at = first.packet.bytes.data();
  if (!is_tcp(at)) return;
  const std::uint8_t flags = piece.packet.bytes[ipv4::kMinHeader + tcp::kFlags];
  if ((flags & tcp::kPsh) == 0) return;
  at[ipv4::kMinHeader + tcp::kFlags] |= tcp::kPsh;  // segmentation gives it to the last segment alone
  first.is_open = false;
}

/// Lengths, checksums and the virtio header of the super-packet that it begins.
void Coalescer::complete(Piece& first) {
  std::uint8_t* ip = first.packet.bytes.data();
  const Protocol protocol = is_tcp(ip) ? Protocol::tcp : Protocol::udp;
  const auto total = static_cast<std::uint16_t>(first.headers + first.payload_length);
  ChecksumChange change;
  change.replace16(load16(ip + ipv4::kTotalLength), total);
  store16(ip + ipv4::kChecksum, change.apply(load16(ip + ipv4::kChecksum)));
  store16(ip + ipv4::kTotalLength, total);

  std::uint8_t* transport = ip + ipv4::kMinHeader;
  const auto length = static_cast<std::uint16_t>(total - ipv4::kMinHeader);
  if (protocol == Protocol::udp) store16(transport + udp::kLength, length);
  store16(transport + checksum_field_offset(protocol),
          pseudo_header_sum(load_address(ip + ipv4::kSource), load_address(ip + ipv4::kDestination), protocol, length));

  first.packet.virtio = {.flags = VirtioHeader::kNeedsChecksum,
                         .gso_type = protocol == Protocol::tcp ? VirtioHeader::kGsoTcpV4 : VirtioHeader::kGsoUdpL4,
                         .header_length = first.headers,
                         .gso_size = first.segment,
                         .checksum_start = static_cast<std::uint16_t>(ipv4::kMinHeader),
                         .checksum_offset = static_cast<std::uint16_t>(checksum_field_offset(protocol))};
}

}  // namespace vipgate
