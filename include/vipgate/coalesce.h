#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vipgate/packet.h"

namespace vipgate {

/// What a device takes as super-packets of several.
enum class Coalescing : std::uint8_t { none, tcp, tcp_and_udp };

/// Joins segments of one flow that are about to be sent one after the other into super-packets, which cost everybody
/// behind, up to the receiver, little more than one packet each. The device that segments them (virtio 1.2 §5.1.6.2)
/// makes the very same packets again; only the IP identification of datagrams that must not be fragmented may differ,
/// which has no meaning (RFC 6864 §4.1).
///
/// Joined are packets of the same addresses, ports, and fields of the IPv4 header otherwise:
/// - TCP segments with data and no flag but ACK and PSH, each of which begins where the one before ended, with the same
///   acknowledgement, window and options. PSH ends a super-packet, and so does a segment that is shorter than the
///   first;
/// - UDP datagrams of one length with a checksum, the last of which may be shorter.
/// A packet is never sent before an earlier one of its flow.
class Coalescer {
 public:
  static constexpr std::size_t kMaxPackets = 32;

  explicit Coalescer(Coalescing what) : what_(what) { forget_flows(); }

  /// Takes a packet that is to be sent, up to kMaxPackets until the next clear(). Its memory stays as it is until then,
  /// and the headers in it may be changed. `checked`: it is a whole packet with right checksums, or partial ones, as an
  /// engine forwards it. Others go out alone.
  void add(const Packet& packet, bool checked);

  /// Calls send(head, rest) for each packet or super-packet, which is the bytes of `head` and those of all of `rest`.
  template <typename Send>
  void for_each(Send&& send) {
    std::array<std::span<const std::uint8_t>, kMaxPackets> rest;
    for (std::size_t i = 0; i < size_; ++i) {
      if (pieces_[i].is_joined) continue;
      std::size_t count = 0;
      for (std::size_t next = pieces_[i].next; next != kNone; next = pieces_[next].next) {
        rest[count++] = pieces_[next].payload;
      }
      if (count > 0) complete(pieces_[i]);
      send(pieces_[i].packet, std::span<const std::span<const std::uint8_t>>(rest).first(count));
    }
  }

  void clear();

 private:
  static constexpr std::uint8_t kNone = 0xff;
  static constexpr std::size_t kSlots = 64;  ///< so that few flows of a batch share one

  /// A packet; and, where it is the first of some, what they are together.
  struct Piece {
    Packet packet;
    std::span<const std::uint8_t> payload;  ///< behind the transport header
    std::uint16_t headers = 0;              ///< bytes before it
    std::uint16_t segment = 0;              ///< bytes of payload of each segment
    std::uint32_t payload_length = 0;       ///< of all
    std::uint16_t segments = 0;             ///< of all
    bool is_open = false;                   ///< another one may follow
    bool is_joined = false;                 ///< to an earlier one
    std::uint8_t next = kNone;
    std::uint8_t last = kNone;
  };

  bool recognise(Piece& piece) const;
  bool may_follow(const Piece& first, const Piece& piece) const;
  void join(Piece& first, std::uint8_t index);
  static void complete(Piece& first);
  void forget_flows() { latest_.fill(kNone); }

  Coalescing what_;
  std::size_t size_ = 0;
  std::array<Piece, kMaxPackets> pieces_;
  std::array<std::uint8_t, kSlots> latest_;  ///< by the hash of a flow: where its latest packet or super-packet begins
};

}  // namespace vipgate
