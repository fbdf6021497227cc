#include "nat/mss.h"

#include <algorithm>

#include "wire/bytes.h"
#include "wire/checksum.h"

namespace vipgate {
namespace {

/// RFC 9293 §3.7.1: what a TCP must assume without the option. No link is worth less.
constexpr std::uint16_t kDefaultMss = 536;

}  // namespace

void lower_mss(Packet& packet, const PacketView& syn, std::uint16_t limit, std::uint16_t margin) {
  const auto at = syn.tcp.mss_offset();
  if (!at) return;
  std::uint8_t* tcp = packet.bytes.data() + syn.ip.header_length();
  const std::uint16_t offered = load16(tcp + *at);
  const int reduced = std::max<int>(offered - margin, std::min(offered, kDefaultMss));
  const auto lowered = static_cast<std::uint16_t>(std::min<int>(reduced, limit));
  if (lowered == offered) return;
  store16(tcp + *at, lowered);
  // A partial checksum is the pseudo-header's sum, which does not change.
  if (syn.checksum == ChecksumKind::partial) return;
  // An option may begin at an odd offset; then its bytes stand in two words of the sum, each in the other half.
  const bool odd = *at % 2 != 0;
  const auto swapped = [odd](std::uint16_t v) { return odd ? static_cast<std::uint16_t>(v << 8 | v >> 8) : v; };
  ChecksumChange change;
  change.replace16(swapped(offered), swapped(lowered));
  store16(tcp + tcp::kChecksum, change.apply(load16(tcp + tcp::kChecksum)));
}

}  // namespace vipgate
