#include "wire/ipv4.h"

#include <algorithm>
#include <cstring>

namespace vipgate {

Parsed<Ipv4View> Ipv4View::parse_quoted(std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) return Reason::ip_truncated;
  if (bytes[ipv4::kVersionLength] >> 4 != 4) return Reason::not_ipv4;
  if (bytes.size() < ipv4::kMinHeader) return Reason::ip_truncated;
  const std::size_t header = std::size_t{4} * (bytes[ipv4::kVersionLength] & 15);
  if (header < ipv4::kMinHeader || header > bytes.size()) return Reason::ip_header_length;
  const std::size_t total = load16(bytes.data() + ipv4::kTotalLength);
  if (total < header) return Reason::ip_total_length;
  Ipv4View view;
  view.at_ = bytes.data();
  view.header_length_ = static_cast<std::uint16_t>(header);
  view.payload_length_ = static_cast<std::uint16_t>(std::min(total, bytes.size()) - header);
  return view;
}

Parsed<Ipv4View> Ipv4View::parse(std::span<const std::uint8_t> bytes) {
  const auto view = parse_quoted(bytes);
  if (view && view->total_length() > bytes.size()) return Reason::ip_total_length;
  return view;
}

void ipv4::write_header(std::uint8_t* header, const HeaderFields& fields) {
  std::memset(header, 0, kMinHeader);
  header[kVersionLength] = 4 << 4 | kMinHeader / 4;
  header[kTos] = fields.tos;
  store16(header + kTotalLength, fields.total_length);
  // RFC 6864 §4.1: an atomic datagram (DF set) needs no unique identification.
  store16(header + kFragment, kDontFragment);
  header[kTtl] = fields.ttl;
  header[kProtocol] = fields.protocol;
  store32(header + kSource, fields.source.value());
  store32(header + kDestination, fields.destination.value());
  store16(header + kChecksum, static_cast<std::uint16_t>(~checksum_sum({header, kMinHeader})));
}

}  // namespace vipgate
