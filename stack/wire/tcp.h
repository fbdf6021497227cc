#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "wire/bytes.h"
#include "wire/parsed.h"

namespace vipgate {

/// TCP header, RFC 9293 §3.1.
namespace tcp {
inline constexpr std::size_t kSourcePort = 0;
inline constexpr std::size_t kDestinationPort = 2;
inline constexpr std::size_t kSequence = 4;
inline constexpr std::size_t kAcknowledgement = 8;
inline constexpr std::size_t kDataOffset = 12;  ///< in the upper four bits
inline constexpr std::size_t kFlags = 13;
inline constexpr std::size_t kWindow = 14;
inline constexpr std::size_t kChecksum = 16;
inline constexpr std::size_t kUrgent = 18;
inline constexpr std::size_t kMinHeader = 20;

inline constexpr std::uint8_t kFin = 0x01;
inline constexpr std::uint8_t kSyn = 0x02;
inline constexpr std::uint8_t kRst = 0x04;
inline constexpr std::uint8_t kPsh = 0x08;
inline constexpr std::uint8_t kAck = 0x10;
inline constexpr std::uint8_t kUrg = 0x20;
inline constexpr std::uint8_t kEce = 0x40;
inline constexpr std::uint8_t kCwr = 0x80;

// Option kinds, IANA "TCP Option Kind Numbers".
inline constexpr std::uint8_t kEndOfList = 0;
inline constexpr std::uint8_t kNoOperation = 1;
inline constexpr std::uint8_t kMaximumSegmentSize = 2;
inline constexpr std::uint8_t kWindowScale = 3;
inline constexpr std::uint8_t kSackPermitted = 4;
inline constexpr std::uint8_t kSack = 5;
inline constexpr std::uint8_t kTimestamps = 8;

/// No-operation, no-operation, timestamps, ten bytes.
inline constexpr std::uint32_t kTimestampsAlone = 0x0101080a;

/// RFC 7323 §2.3: a larger shift count is taken as 14.
inline constexpr std::uint8_t kMaxWindowScale = 14;
}  // namespace tcp

/// The options that a tracker cares about.
struct TcpOptions {
  std::optional<std::uint8_t> window_scale;  ///< RFC 7323 §2.2, capped at 14
  bool sack_permitted = false;               ///< RFC 2018 §2
  std::optional<std::uint32_t> sack_high;    ///< highest right edge of the SACK blocks (RFC 2018 §3)
  std::optional<std::uint32_t> timestamp;    ///< TSval, RFC 7323 §3.2
};

/// A checked TCP segment: the header with its options lies within the bytes.
class TcpView {
 public:
  static Parsed<TcpView> parse(std::span<const std::uint8_t> segment) { return Parsed<TcpView>(segment); }
  /// The same in place; it is the view of nothing unless the reason is none.
  [[nodiscard]] Reason assign(std::span<const std::uint8_t> segment);

  std::uint16_t source_port() const { return load16(at_ + tcp::kSourcePort); }
  std::uint16_t destination_port() const { return load16(at_ + tcp::kDestinationPort); }
  std::uint32_t sequence() const { return load32(at_ + tcp::kSequence); }
  std::uint32_t acknowledgement() const { return load32(at_ + tcp::kAcknowledgement); }
  std::size_t header_length() const { return std::size_t{header_length_}; }
  std::uint8_t flags() const { return at_[tcp::kFlags]; }
  bool has(std::uint8_t flag) const { return (flags() & flag) != 0; }
  std::uint16_t window() const { return load16(at_ + tcp::kWindow); }
  std::uint16_t checksum() const { return load16(at_ + tcp::kChecksum); }
  std::span<const std::uint8_t> option_bytes() const {
    return {at_ + tcp::kMinHeader, std::size_t{header_length_} - tcp::kMinHeader};
  }
  std::uint32_t payload_length() const { return payload_length_; }

  TcpOptions options() const {
    const std::span<const std::uint8_t> bytes = option_bytes();
    if (bytes.empty()) return {};
    // RFC 7323 appendix A: what all but a few segments have whose connection uses timestamps.
    if (bytes.size() == 12 && load32(bytes.data()) == tcp::kTimestampsAlone) {
      return {.window_scale = {}, .sack_permitted = false, .sack_high = {}, .timestamp = load32(bytes.data() + 4)};
    }
    return read_options();
  }

  /// Offset, in the segment, of the value of the maximum segment size option (RFC 9293 §3.7.1), two bytes.
  std::optional<std::size_t> mss_offset() const;

  /// Calls visit(kind, value) for each option with a value, which may be empty. Ends at the end-of-list option, and at
  /// the first malformed one (a length below 2 or beyond the header): what stood before it counts.
  template <typename Visit>
  void for_each_option(Visit&& visit) const {
    std::span<const std::uint8_t> left = option_bytes();
    while (!left.empty() && left[0] != tcp::kEndOfList) {
      if (left[0] == tcp::kNoOperation) {
        left = left.subspan(1);
        continue;
      }
      if (left.size() < 2 || left[1] < 2 || left[1] > left.size()) return;
      visit(left[0], left.subspan(2, left[1] - std::size_t{2}));
      left = left.subspan(left[1]);
    }
  }

  TcpView() = default;

 private:
  TcpOptions read_options() const;

  const std::uint8_t* at_ = nullptr;
  std::uint32_t header_length_ = 0;
  std::uint32_t payload_length_ = 0;
};

inline Reason TcpView::assign(std::span<const std::uint8_t> segment) {
  if (segment.size() < tcp::kMinHeader) return Reason::tcp_truncated;
  const std::size_t header = std::size_t{4} * (segment[tcp::kDataOffset] >> 4);
  if (header < tcp::kMinHeader || header > segment.size()) return Reason::tcp_data_offset;
  at_ = segment.data();
  header_length_ = static_cast<std::uint32_t>(header);
  payload_length_ = static_cast<std::uint32_t>(segment.size() - header);
  return Reason::none;
}

/// Whether the flags are a set that a stack sends: S, SU, SA, R, RA, FA, FAU, A, AU; PSH, ECE, CWR aside.
constexpr bool tcp_flags_are_valid(std::uint8_t flags) {
  using namespace tcp;
  constexpr std::uint64_t kSets = 1ULL << kSyn | 1ULL << (kSyn | kUrg) | 1ULL << (kSyn | kAck) | 1ULL << kRst |
                                  1ULL << (kRst | kAck) | 1ULL << (kFin | kAck) | 1ULL << (kFin | kAck | kUrg) |
                                  1ULL << kAck | 1ULL << (kAck | kUrg);
  return (kSets >> (flags & (kFin | kSyn | kRst | kAck | kUrg)) & 1) != 0;
}

namespace tcp {

/// "S", "SA", "PA": the flags' initials, SYN first, as packet printers have them.
const char* flag_letters(std::uint8_t flags, char (&buffer)[9]);

}  // namespace tcp
}  // namespace vipgate
