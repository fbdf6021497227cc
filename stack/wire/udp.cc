#include "wire/udp.h"

namespace vipgate {

Parsed<UdpView> UdpView::parse(std::span<const std::uint8_t> datagram) {
  if (datagram.size() < udp::kHeader) return Reason::udp_truncated;
  const std::size_t length = load16(datagram.data() + udp::kLength);
  if (length < udp::kHeader || length > datagram.size()) return Reason::udp_length;
  UdpView view;
  view.at_ = datagram.data();
  return view;
}

}  // namespace vipgate
