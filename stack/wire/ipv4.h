#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "vipgate/address.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/parsed.h"

namespace vipgate {

/// IPv4 header, RFC 791 §3.1.
namespace ipv4 {
inline constexpr std::size_t kVersionLength = 0;  ///< version and IHL
inline constexpr std::size_t kTos = 1;
inline constexpr std::size_t kTotalLength = 2;
inline constexpr std::size_t kId = 4;
inline constexpr std::size_t kFragment = 6;  ///< flags and fragment offset
inline constexpr std::size_t kTtl = 8;
inline constexpr std::size_t kProtocol = 9;
inline constexpr std::size_t kChecksum = 10;
inline constexpr std::size_t kSource = 12;
inline constexpr std::size_t kDestination = 16;
inline constexpr std::size_t kMinHeader = 20;

inline constexpr std::uint16_t kDontFragment = 0x4000;
inline constexpr std::uint16_t kMoreFragments = 0x2000;
inline constexpr std::uint16_t kOffsetMask = 0x1fff;
}  // namespace ipv4

/// A checked IPv4 packet: the lengths agree with each other and with the bytes (RFC 1812 §5.2.2). Bytes behind Total
/// Length are not part of it.
class Ipv4View {
 public:
  static Parsed<Ipv4View> parse(std::span<const std::uint8_t> bytes) { return Parsed<Ipv4View>(bytes); }
  /// The same in place; it is the view of nothing unless the reason is none.
  [[nodiscard]] Reason assign(std::span<const std::uint8_t> bytes);

  /// For headers quoted in ICMP errors: Total Length may exceed the bytes (RFC 792, "Internet Header + 64 bits").
  static Parsed<Ipv4View> parse_quoted(std::span<const std::uint8_t> bytes);

  std::size_t header_length() const { return std::size_t{header_length_}; }
  std::uint16_t total_length() const { return load16(at_ + ipv4::kTotalLength); }
  std::uint8_t tos() const { return at_[ipv4::kTos]; }
  std::uint16_t id() const { return load16(at_ + ipv4::kId); }
  bool dont_fragment() const { return (fragment_field() & ipv4::kDontFragment) != 0; }
  bool more_fragments() const { return (fragment_field() & ipv4::kMoreFragments) != 0; }
  std::size_t fragment_offset() const { return std::size_t{8} * (fragment_field() & ipv4::kOffsetMask); }
  bool is_fragment() const { return (fragment_field() & (ipv4::kMoreFragments | ipv4::kOffsetMask)) != 0; }
  std::uint8_t ttl() const { return at_[ipv4::kTtl]; }
  std::uint8_t protocol() const { return at_[ipv4::kProtocol]; }
  std::uint16_t checksum() const { return load16(at_ + ipv4::kChecksum); }
  Ipv4Address source() const { return load_address(at_ + ipv4::kSource); }
  Ipv4Address destination() const { return load_address(at_ + ipv4::kDestination); }
  std::span<const std::uint8_t> header() const { return {at_, header_length_}; }
  std::span<const std::uint8_t> payload() const { return {at_ + header_length_, payload_length_}; }
  bool checksum_is_right() const {
    if (header_length_ != ipv4::kMinHeader) return checksum_sum(header()) == 0xffff;
    return checksum_sum(header().first<ipv4::kMinHeader>()) == 0xffff;  // nearly always
  }

  Ipv4View() = default;

 private:
  Reason assign_quoted(std::span<const std::uint8_t> bytes);
  std::uint16_t fragment_field() const { return load16(at_ + ipv4::kFragment); }

  const std::uint8_t* at_ = nullptr;
  std::uint32_t header_length_ = 0;
  std::uint32_t payload_length_ = 0;
};

inline Reason Ipv4View::assign_quoted(std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) return Reason::ip_truncated;
  if (bytes[ipv4::kVersionLength] >> 4 != 4) return Reason::not_ipv4;
  if (bytes.size() < ipv4::kMinHeader) return Reason::ip_truncated;
  const std::size_t header = std::size_t{4} * (bytes[ipv4::kVersionLength] & 15);
  if (header < ipv4::kMinHeader || header > bytes.size()) return Reason::ip_header_length;
  const std::size_t total = load16(bytes.data() + ipv4::kTotalLength);
  if (total < header) return Reason::ip_total_length;
  at_ = bytes.data();
  header_length_ = static_cast<std::uint32_t>(header);
  payload_length_ = static_cast<std::uint32_t>(std::min(total, bytes.size()) - header);
  return Reason::none;
}

inline Reason Ipv4View::assign(std::span<const std::uint8_t> bytes) {
  const Reason reason = assign_quoted(bytes);
  return reason == Reason::none && total_length() > bytes.size() ? Reason::ip_total_length : reason;
}

inline Parsed<Ipv4View> Ipv4View::parse_quoted(std::span<const std::uint8_t> bytes) {
  Ipv4View view;
  const Reason reason = view.assign_quoted(bytes);
  return reason == Reason::none ? Parsed<Ipv4View>(view) : reason;
}

// Setters for a header that was checked. They leave the checksum alone: the caller knows whether it is updated or
// computed.
namespace ipv4 {

/// A header without options for a packet of our own, checksum included. `header` has kMinHeader bytes.
struct HeaderFields {
  std::uint8_t tos = 0;
  std::uint16_t total_length = 0;
  std::uint8_t ttl = 64;
  std::uint8_t protocol = 0;
  Ipv4Address source;
  Ipv4Address destination;
};
void write_header(std::uint8_t* header, const HeaderFields& fields);

}  // namespace ipv4
}  // namespace vipgate
