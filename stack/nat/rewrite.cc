#include "nat/rewrite.h"

#include "nat/ip_id.h"
#include "wire/bytes.h"
#include "wire/checksum.h"

namespace vipgate {
namespace {

void rewrite_checksum(std::uint8_t* field, const PacketView& view, const ChecksumChange& addresses,
                      const ChecksumChange& addresses_and_ports) {
  const std::uint16_t before = load16(field);
  if (view.checksum == ChecksumKind::partial) {
    store16(field, addresses.apply_to_sum(before));
    return;
  }
  const bool is_udp = view.protocol == Protocol::udp;
  if (is_udp && before == udp::kNoChecksum) return;
  const std::uint16_t after = addresses_and_ports.apply(before);
  store16(field, is_udp && after == udp::kNoChecksum ? std::uint16_t{0xffff} : after);
}

}  // namespace

void rewrite(Packet& packet, const PacketView& view, const Tuple& to) {
  std::uint8_t* ip = packet.bytes.data();
  std::uint8_t* transport = ip + view.ip.header_length();
  const Tuple from = tuple_of(view);

  ChecksumChange change;
  change.replace32(from.source.value(), to.source.value());
  change.replace32(from.destination.value(), to.destination.value());
  const ChecksumChange addresses = change;
  store32(ip + ipv4::kSource, to.source.value());
  store32(ip + ipv4::kDestination, to.destination.value());
  ChecksumChange header = addresses;
  if (!view.ip.dont_fragment()) {
    const std::uint16_t id = view.ip.id();
    const auto changed = static_cast<std::uint16_t>(id + ip_id_offset(from.source, to.source));
    store16(ip + ipv4::kId, changed);
    header.replace16(id, changed);
  }
  store16(ip + ipv4::kChecksum, header.apply(view.ip.checksum()));

  if (view.protocol == Protocol::icmp) {
    store16(transport + icmp::kId, to.source_port);
    icmp::write_checksum({transport, view.icmp.bytes().size()});
    return;
  }
  change.replace16(from.source_port, to.source_port);
  change.replace16(from.destination_port, to.destination_port);
  static_assert(tcp::kSourcePort == udp::kSourcePort && tcp::kDestinationPort == udp::kDestinationPort);
  store16(transport + tcp::kSourcePort, to.source_port);
  store16(transport + tcp::kDestinationPort, to.destination_port);
  rewrite_checksum(transport + checksum_field_offset(view.protocol), view, addresses, change);
}

}  // namespace vipgate
