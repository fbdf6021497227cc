#include "fuzz/repair.h"

#include <optional>
#include <vector>

#include "support/packet_builder.h"

namespace vipgate::fuzz {
namespace {

constexpr std::uint8_t kIcmp = 1;
constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;
constexpr std::size_t kIpChecksum = 10;

using Bytes = std::span<std::uint8_t>;

std::size_t get16(Bytes bytes, std::size_t at) {
  return static_cast<std::size_t>(bytes[at] << 8 | bytes[at + 1]);
}

void set16(Bytes bytes, std::size_t at, unsigned value) {
  bytes[at] = static_cast<std::uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(value);
}

std::size_t header_of(Bytes packet) {
  const std::size_t header = packet.empty() ? 0 : std::size_t{4} * (packet[0] & 15U);
  return header >= 20 && header <= packet.size() ? header : 0;
}

struct Transport {
  Bytes bytes;        ///< that the checksum covers
  std::size_t field;  ///< of the checksum, in them
};

std::optional<Transport> transport_of(Bytes packet) {
  const std::size_t header = header_of(packet);
  if (header == 0 || get16(packet, 2) < header || get16(packet, 2) > packet.size()) return std::nullopt;
  const std::uint8_t protocol = packet[9];
  Transport transport{packet.subspan(header, get16(packet, 2) - header), 0};
  if (protocol == kUdp && transport.bytes.size() >= 8 && get16(transport.bytes, 4) >= 8 &&
      get16(transport.bytes, 4) <= transport.bytes.size()) {
    transport.bytes = transport.bytes.first(get16(transport.bytes, 4));
  }
  if (protocol == kTcp) transport.field = 16;
  if (protocol == kUdp) transport.field = 6;
  if (protocol == kIcmp) transport.field = 2;
  if (transport.field == 0 || transport.bytes.size() < transport.field + 2) return std::nullopt;
  return transport;
}

unsigned pseudo_sum(Bytes packet, std::size_t length) {
  std::vector<std::uint8_t> pseudo(packet.begin() + 12, packet.begin() + 20);
  pseudo.insert(pseudo.end(), {0, packet[9], 0, 0});
  set16(pseudo, 10, static_cast<unsigned>(length));
  return test::naive_sum(pseudo);
}

}  // namespace

void repair_total_length(Bytes packet) {
  if (header_of(packet) != 0 && packet.size() <= kMaxPacketSize) set16(packet, 2, static_cast<unsigned>(packet.size()));
}

void repair_quoted_ip_checksum(Bytes packet) {
  const std::size_t header = header_of(packet);
  if (header != 0 && packet[9] == kIcmp && packet.size() > header + 8) repair_ip_checksum(packet.subspan(header + 8));
}

void repair_ip_checksum(Bytes packet) {
  const std::size_t header = header_of(packet);
  if (header == 0) return;
  set16(packet, kIpChecksum, 0);
  set16(packet, kIpChecksum, ~unsigned{test::naive_sum(packet.first(header))});
}

void repair_transport_checksum(Bytes packet) {
  const auto transport = transport_of(packet);
  if (!transport) return;
  set16(transport->bytes, transport->field, 0);
  unsigned sum = test::naive_sum(transport->bytes);
  if (packet[9] != kIcmp) sum += pseudo_sum(packet, transport->bytes.size());
  sum = (sum & 0xffff) + (sum >> 16);
  const unsigned checksum = ~sum & 0xffff;
  set16(transport->bytes, transport->field, packet[9] == kUdp && checksum == 0 ? 0xffff : checksum);
}

void make_transport_checksum_partial(Bytes packet, VirtioHeader& virtio) {
  const auto transport = transport_of(packet);
  if (!transport || packet[9] == kIcmp) return;
  set16(transport->bytes, transport->field, pseudo_sum(packet, transport->bytes.size()));
  virtio.flags = VirtioHeader::kNeedsChecksum;
  virtio.checksum_start = static_cast<std::uint16_t>(header_of(packet));
  virtio.checksum_offset = static_cast<std::uint16_t>(transport->field);
}

}  // namespace vipgate::fuzz
