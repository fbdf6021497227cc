#include "wire/icmp.h"

namespace vipgate {

Parsed<IcmpView> IcmpView::parse(std::span<const std::uint8_t> message) {
  if (message.size() < icmp::kHeader) return Reason::icmp_truncated;
  IcmpView view;
  view.message_ = message;
  return view;
}

}  // namespace vipgate
