#include "wire/icmp.h"

#include "wire/checksum.h"

namespace vipgate {

Parsed<IcmpView> IcmpView::parse(std::span<const std::uint8_t> message) {
  if (message.size() < icmp::kHeader) return Reason::icmp_truncated;
  IcmpView view;
  view.message_ = message;
  return view;
}

void icmp::write_checksum(std::span<std::uint8_t> message) {
  store16(message.data() + kChecksum, 0);
  store16(message.data() + kChecksum, static_cast<std::uint16_t>(~checksum_sum(message)));
}

}  // namespace vipgate
