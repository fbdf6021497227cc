#pragma once

#include <cstdint>
#include <span>

#include "wire/bytes.h"
#include "wire/parsed.h"

namespace vipgate {

/// UDP header, RFC 768.
namespace udp {
inline constexpr std::size_t kSourcePort = 0;
inline constexpr std::size_t kDestinationPort = 2;
inline constexpr std::size_t kLength = 4;
inline constexpr std::size_t kChecksum = 6;
inline constexpr std::size_t kHeader = 8;

/// The sender computed no checksum (RFC 768). A computed 0 is sent as 0xffff.
inline constexpr std::uint16_t kNoChecksum = 0;
}  // namespace udp

/// A checked UDP datagram: its length covers the header and lies within the bytes.
class UdpView {
 public:
  static Parsed<UdpView> parse(std::span<const std::uint8_t> datagram) { return Parsed<UdpView>(datagram); }
  /// The same in place; it is the view of nothing unless the reason is none.
  [[nodiscard]] Reason assign(std::span<const std::uint8_t> datagram);

  std::uint16_t source_port() const { return load16(at_ + udp::kSourcePort); }
  std::uint16_t destination_port() const { return load16(at_ + udp::kDestinationPort); }
  std::uint16_t length() const { return load16(at_ + udp::kLength); }
  std::uint16_t checksum() const { return load16(at_ + udp::kChecksum); }
  std::span<const std::uint8_t> payload() const { return {at_ + udp::kHeader, length() - udp::kHeader}; }

  UdpView() = default;

 private:
  const std::uint8_t* at_ = nullptr;
};

inline Reason UdpView::assign(std::span<const std::uint8_t> datagram) {
  if (datagram.size() < udp::kHeader) return Reason::udp_truncated;
  const std::size_t length = load16(datagram.data() + udp::kLength);
  if (length < udp::kHeader || length > datagram.size()) return Reason::udp_length;
  at_ = datagram.data();
  return Reason::none;
}

}  // namespace vipgate
