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

/// An IP header, with room for `payload` bytes behind it.
Packet begin(Ipv4Address source, Ipv4Address destination, Protocol protocol, std::uint8_t tos, std::size_t payload,
             std::span<std::uint8_t, kAnswerBufferSize> buffer) {
  const std::size_t length = ipv4::kMinHeader + payload;
  ipv4::write_header(buffer.data(), {.tos = tos,
                                     .total_length = static_cast<std::uint16_t>(length),
                                     .ttl = kTtl,
                                     .protocol = static_cast<std::uint8_t>(protocol),
                                     .source = source,
                                     .destination = destination});
  std::memset(buffer.data() + ipv4::kMinHeader, 0, payload);
  return {.bytes = buffer.first(length)};
}

void begin_reset(std::span<std::uint8_t> reset, const Tuple& tuple, std::uint32_t sequence) {
  std::uint8_t* at = reset.data();
  store16(at + tcp::kSourcePort, tuple.source_port);
  store16(at + tcp::kDestinationPort, tuple.destination_port);
  store32(at + tcp::kSequence, sequence);
  at[tcp::kDataOffset] = tcp::kMinHeader / 4 << 4;
  at[tcp::kFlags] = tcp::kRst;
}

void finish_reset(std::span<std::uint8_t> reset, const Tuple& tuple) {
  const std::uint16_t pseudo = pseudo_header_sum(tuple.source, tuple.destination, Protocol::tcp, tcp::kMinHeader);
  store16(reset.data() + tcp::kChecksum, static_cast<std::uint16_t>(~checksum_sum(reset, pseudo)));
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
  const Tuple tuple{segment.ip.destination(), segment.ip.source(), segment.tcp.destination_port(),
                    segment.tcp.source_port()};
  Packet packet = begin(tuple.source, tuple.destination, Protocol::tcp, 0, tcp::kMinHeader, buffer);
  const std::span<std::uint8_t> reset = packet.bytes.subspan(ipv4::kMinHeader);
  const bool acknowledges = segment.tcp.has(tcp::kAck);
  begin_reset(reset, tuple, acknowledges ? segment.tcp.acknowledgement() : 0);
  if (!acknowledges) {
    const std::uint32_t length =
        segment.tcp.payload_length() + (segment.tcp.has(tcp::kSyn) ? 1U : 0U) + (segment.tcp.has(tcp::kFin) ? 1U : 0U);
    store32(reset.data() + tcp::kAcknowledgement, segment.tcp.sequence() + length);
    reset[tcp::kFlags] |= tcp::kAck;
  }
  finish_reset(reset, tuple);
  return packet;
}

Packet make_final_reset(const Tuple& tuple, std::uint32_t sequence, std::span<std::uint8_t, kAnswerBufferSize> buffer) {
  Packet packet = begin(tuple.source, tuple.destination, Protocol::tcp, 0, tcp::kMinHeader, buffer);
  const std::span<std::uint8_t> reset = packet.bytes.subspan(ipv4::kMinHeader);
  begin_reset(reset, tuple, sequence);
  finish_reset(reset, tuple);
  return packet;
}

std::optional<Packet> make_error(const Ipv4View& about, std::uint8_t type, std::uint8_t code,
                                 std::span<std::uint8_t, kAnswerBufferSize> buffer) {
  if (about.fragment_offset() != 0) return std::nullopt;
  if (about.protocol() == static_cast<std::uint8_t>(Protocol::icmp)) {
    const auto message = IcmpView::parse(about.payload());
    if (!message || message->is_error()) return std::nullopt;
  }
  constexpr std::size_t kRoom = kAnswerBufferSize - ipv4::kMinHeader - icmp::kHeader;
  const std::size_t quoted = std::min(about.header_length() + about.payload().size(), kRoom);
  Packet packet = begin(about.destination(), about.source(), Protocol::icmp, kErrorTos, icmp::kHeader + quoted, buffer);
  const std::span<std::uint8_t> message = packet.bytes.subspan(ipv4::kMinHeader);
  message[icmp::kType] = type;
  message[icmp::kCode] = code;
  std::memcpy(message.data() + icmp::kHeader, about.header().data(), quoted);
  icmp::write_checksum(message);
  return packet;
}

}  // namespace vipgate
