#include "nat/answer.h"

#include <algorithm>
#include <cstring>

#include "wire/bytes.h"
#include "wire/checksum.h"

namespace vipgate {
namespace {

/// RFC 1812 §4.3.2.5: internetwork control, for errors.
constexpr std::uint8_t kErrorTos = 0xc0;
constexpr std::uint8_t kTtl = 64;  // RFC 1700, "default TTL"

/// IP header back to the sender of `to`, with room for `payload` bytes behind it.
Packet begin(const PacketView& to, Protocol protocol, std::uint8_t tos, std::size_t payload,
             std::span<std::uint8_t, kAnswerBufferSize> buffer) {
  const std::size_t length = ipv4::kMinHeader + payload;
  ipv4::write_header(buffer.data(), {.tos = tos,
                                     .total_length = static_cast<std::uint16_t>(length),
                                     .ttl = kTtl,
                                     .protocol = static_cast<std::uint8_t>(protocol),
                                     .source = to.ip.destination(),
                                     .destination = to.ip.source()});
  std::memset(buffer.data() + ipv4::kMinHeader, 0, payload);
  return {.bytes = buffer.first(length), .virtio = {}};
}

}  // namespace

void turn_into_echo_reply(Packet& packet, const PacketView& request) {
  std::uint8_t* ip = packet.bytes.data();
  ChecksumChange header;
  header.replace16(load16(ip + ipv4::kTtl), static_cast<std::uint16_t>(kTtl << 8 | ip[ipv4::kProtocol]));
  const Ipv4Address source = request.ip.source();
  const Ipv4Address destination = request.ip.destination();
  const std::uint16_t checksum = request.ip.checksum();
  ip[ipv4::kTtl] = kTtl;
  store32(ip + ipv4::kSource, destination.value());
  store32(ip + ipv4::kDestination, source.value());
  store16(ip + ipv4::kChecksum, header.apply(checksum));  // swapped addresses leave the sum as it is

  const std::span<std::uint8_t> message(ip + request.ip.header_length(), request.icmp.bytes().size());
  message[icmp::kType] = icmp::kEchoReply;
  icmp::write_checksum(message);
}

std::optional<Packet> make_reset(const PacketView& segment, std::span<std::uint8_t, kAnswerBufferSize> buffer) {
  if (segment.tcp.has(tcp::kRst)) return std::nullopt;
  Packet packet = begin(segment, Protocol::tcp, 0, tcp::kMinHeader, buffer);
  const std::span<std::uint8_t> reset = packet.bytes.subspan(ipv4::kMinHeader);
  std::uint8_t* at = reset.data();
  store16(at + tcp::kSourcePort, segment.tcp.destination_port());
  store16(at + tcp::kDestinationPort, segment.tcp.source_port());
  at[tcp::kDataOffset] = tcp::kMinHeader / 4 << 4;
  if (segment.tcp.has(tcp::kAck)) {
    store32(at + tcp::kSequence, segment.tcp.acknowledgement());
    at[tcp::kFlags] = tcp::kRst;
  } else {
    const std::uint32_t length =
        segment.tcp.payload_length() + (segment.tcp.has(tcp::kSyn) ? 1U : 0U) + (segment.tcp.has(tcp::kFin) ? 1U : 0U);
    store32(at + tcp::kAcknowledgement, segment.tcp.sequence() + length);
    at[tcp::kFlags] = tcp::kRst | tcp::kAck;
  }
  const std::uint16_t pseudo =
      pseudo_header_sum(segment.ip.destination(), segment.ip.source(), Protocol::tcp, tcp::kMinHeader);
  store16(at + tcp::kChecksum, static_cast<std::uint16_t>(~checksum_sum(reset, pseudo)));
  return packet;
}

std::optional<Packet> make_unreachable(const PacketView& about, std::uint8_t code,
                                       std::span<std::uint8_t, kAnswerBufferSize> buffer) {
  if (about.protocol == Protocol::icmp && about.icmp.is_error()) return std::nullopt;
  constexpr std::size_t kRoom = kAnswerBufferSize - ipv4::kMinHeader - icmp::kHeader;
  const std::size_t quoted = std::min<std::size_t>(about.ip.total_length(), kRoom);
  Packet packet = begin(about, Protocol::icmp, kErrorTos, icmp::kHeader + quoted, buffer);
  const std::span<std::uint8_t> message = packet.bytes.subspan(ipv4::kMinHeader);
  message[icmp::kType] = icmp::kUnreachable;
  message[icmp::kCode] = code;
  std::memcpy(message.data() + icmp::kHeader, about.ip.header().data(), quoted);
  icmp::write_checksum(message);
  return packet;
}

}  // namespace vipgate
