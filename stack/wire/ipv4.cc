#include "wire/ipv4.h"

#include <cstring>

namespace vipgate {

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
