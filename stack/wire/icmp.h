#pragma once

#include <cstdint>
#include <span>

#include "wire/bytes.h"
#include "wire/parsed.h"

namespace vipgate {

/// ICMP messages, RFC 792.
namespace icmp {
inline constexpr std::size_t kType = 0;
inline constexpr std::size_t kCode = 1;
inline constexpr std::size_t kChecksum = 2;
inline constexpr std::size_t kId = 4;          ///< of queries
inline constexpr std::size_t kSequence = 6;    ///< of queries
inline constexpr std::size_t kNextHopMtu = 6;  ///< of "fragmentation needed", RFC 1191 §4
inline constexpr std::size_t kHeader = 8;

inline constexpr std::uint8_t kEchoReply = 0;
inline constexpr std::uint8_t kUnreachable = 3;
inline constexpr std::uint8_t kEchoRequest = 8;
inline constexpr std::uint8_t kTimeExceeded = 11;
inline constexpr std::uint8_t kParameterProblem = 12;

inline constexpr std::uint8_t kPortUnreachable = 3;              ///< code of kUnreachable
inline constexpr std::uint8_t kFragmentationNeeded = 4;          ///< code of kUnreachable
inline constexpr std::uint8_t kReassemblyTimeExceeded = 1;       ///< code of kTimeExceeded
inline constexpr std::uint8_t kAdministrativelyProhibited = 13;  ///< code of kUnreachable, RFC 1812 §5.2.7.1
}  // namespace icmp

/// A checked ICMP message: the eight bytes that every kind has are there.
class IcmpView {
 public:
  static Parsed<IcmpView> parse(std::span<const std::uint8_t> message);

  std::uint8_t type() const { return message_[icmp::kType]; }
  std::uint8_t code() const { return message_[icmp::kCode]; }
  std::uint16_t checksum() const { return load16(message_.data() + icmp::kChecksum); }
  std::uint16_t id() const { return load16(message_.data() + icmp::kId); }
  std::uint16_t sequence() const { return load16(message_.data() + icmp::kSequence); }
  std::uint16_t next_hop_mtu() const { return load16(message_.data() + icmp::kNextHopMtu); }
  std::span<const std::uint8_t> bytes() const { return message_; }
  std::span<const std::uint8_t> payload() const { return message_.subspan(icmp::kHeader); }

  bool is_query() const { return type() == icmp::kEchoRequest || type() == icmp::kEchoReply; }
  /// An error quotes the packet it is about (RFC 1812 §4.3.1).
  bool is_error() const {
    return type() == icmp::kUnreachable || type() == icmp::kTimeExceeded || type() == icmp::kParameterProblem;
  }

  IcmpView() = default;

 private:
  std::span<const std::uint8_t> message_;
};

namespace icmp {

/// Computes the checksum of a message that was verified or is our own. Not by update: a message of nothing but zeros,
/// such as the reply to an echo request with identifier, sequence and data 0, is the one case where RFC 1624's equation
/// 3 gives 0 for 0xffff.
void write_checksum(std::span<std::uint8_t> message);

}  // namespace icmp
}  // namespace vipgate
