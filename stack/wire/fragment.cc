#include <algorithm>
#include <array>
#include <cstring>

#include "vipgate/packet.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/ipv4.h"

namespace vipgate {
namespace {

// IPv4 options, RFC 791 §3.1.
constexpr std::uint8_t kEndOfList = 0;
constexpr std::uint8_t kNoOperation = 1;
constexpr std::uint8_t kCopied = 0x80;

/// Puts into `to` what the header of a fragment that is not the first has: the options that are to be copied. Returns
/// its length.
std::size_t copy_header(std::span<const std::uint8_t> header, std::uint8_t* to) {
  std::memcpy(to, header.data(), ipv4::kMinHeader);
  std::size_t length = ipv4::kMinHeader;
  auto left = header.subspan(ipv4::kMinHeader);
  while (!left.empty() && left[0] != kEndOfList) {
    const bool has_length = left[0] != kNoOperation;
    const std::size_t size = !has_length ? 1 : left.size() < 2 ? 0 : left[1];
    if (size < (has_length ? 2U : 1U) || size > left.size()) break;
    if ((left[0] & kCopied) != 0) {
      std::memcpy(to + length, left.data(), size);
      length += size;
    }
    left = left.subspan(size);
  }
  for (; length % 4 != 0; ++length) to[length] = kEndOfList;
  to[ipv4::kVersionLength] = static_cast<std::uint8_t>(4 << 4 | length / 4);
  return length;
}

}  // namespace

void send_as_it_came(const Packet& packet, PacketSink& sink) {
  if (packet.fragment_size == 0 || packet.bytes.size() <= packet.fragment_size) {
    sink.send(packet);
    return;
  }
  const auto ip = Ipv4View::parse(packet.bytes);
  if (!ip) return;
  constexpr std::size_t kMaxHeader = 60;
  std::array<std::uint8_t, kMaxPacketSize> fragment;  // NOLINT: filled piece by piece
  std::array<std::uint8_t, kMaxHeader> later_header;  // NOLINT
  const std::size_t later_length = copy_header(ip->header(), later_header.data());
  std::memcpy(fragment.data(), ip->header().data(), ip->header_length());

  std::size_t header = ip->header_length();
  const auto payload = ip->payload();
  const std::uint16_t flags = ip->dont_fragment() ? ipv4::kDontFragment : 0;
  for (std::size_t offset = 0; offset < payload.size();) {
    const std::size_t room = packet.fragment_size > header ? packet.fragment_size - header : 0;
    const std::size_t left = payload.size() - offset;
    const std::size_t length = left <= room ? left : std::min(left, std::max<std::size_t>(room / 8 * 8, 8));
    const bool more = length < left;
    std::uint8_t* at = fragment.data();
    store16(at + ipv4::kTotalLength, static_cast<std::uint16_t>(header + length));
    store16(at + ipv4::kFragment, static_cast<std::uint16_t>(flags | (more ? ipv4::kMoreFragments : 0) | offset / 8));
    store16(at + ipv4::kChecksum, 0);
    store16(at + ipv4::kChecksum, static_cast<std::uint16_t>(~checksum_sum({at, header})));
    std::memcpy(at + header, payload.data() + offset, length);
    sink.send({.bytes = {at, header + length}});
    offset += length;
    header = later_length;
    std::memcpy(at, later_header.data(), header);
  }
}

}  // namespace vipgate
