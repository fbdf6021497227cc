#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "vipgate/address.h"
#include "vipgate/packet.h"
#include "vipgate/time.h"
#include "vipgate/verdict.h"
#include "wire/ipv4.h"

namespace vipgate {

/// Puts the fragments of datagrams together (RFC 791 §3.2), those of one shard. Copies what it keeps.
///
/// Memory is bounded: for all datagrams, and for those of one source, which so can push out its own but not those of
/// others. Where there is no room the oldest gives way. Work is bounded too, by the number of pieces and of datagrams.
///
/// A fragment that overlaps another discards its datagram (RFC 5722 says so for IPv6, and practice for IPv4); what
/// comes of it later is dropped until its time is over.
class Reassembly {
 public:
  /// From the first fragment on (RFC 1122 §3.3.2 asks for a fixed time of at least this; Linux: ipfrag_time).
  static constexpr Duration kTimeout = std::chrono::seconds(30);

  static constexpr std::size_t kMaxDatagrams = 64;
  static constexpr std::size_t kMaxDatagramsOfSource = 16;
  /// With 64 shards 16 MiB in all.
  static constexpr std::size_t kMaxBytes = 256 * 1024;
  static constexpr std::size_t kMaxBytesOfSource = 96 * 1024;
  /// Of one datagram: 65,535 bytes over a link of 576 are 119 pieces.
  static constexpr std::size_t kMaxPieces = 128;

  struct Result {
    Reason reason = Reason::none;  ///< why the fragment was dropped
    /// The whole datagram, once its last piece is there. Lies in memory of ours, with kSpareRoom behind it, until
    /// release().
    std::optional<Packet> whole{};
  };

  /// Takes a fragment whose header is known to be right.
  Result add(const Ipv4View& fragment, Time now);

  /// Frees the datagrams handed out so far.
  void release() { handed_out_.clear(); }

  /// Gives up datagrams whose time is over; returns how many. Calls on_timeout(first) for each of which fragment zero
  /// came, with that fragment.
  template <typename OnTimeout>
  std::size_t expire(Time now, OnTimeout&& on_timeout) {
    std::size_t expired = 0;
    for (; !datagrams_.empty() && datagrams_.front()->deadline <= now; remove(0)) {
      const Datagram& datagram = *datagrams_.front();
      if (datagram.is_discarded) continue;
      ++expired;
      if (datagram.has_first()) on_timeout(first_fragment(datagram));
    }
    return expired;
  }
  Time next_expiry() const { return datagrams_.empty() ? Time::max() : datagrams_.front()->deadline; }

  std::size_t datagrams() const { return datagrams_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Key {
    Ipv4Address source;
    Ipv4Address destination;
    std::uint16_t id = 0;
    std::uint8_t protocol = 0;

    bool operator==(const Key&) const = default;
  };
  /// A fragment, header included. `begin` and `end` say where its payload belongs.
  struct Piece {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::vector<std::uint8_t> packet;

    std::size_t cost() const { return packet.size() + sizeof(Piece); }
  };
  struct Datagram {
    Key key;
    Time deadline;
    bool is_discarded = false;
    std::vector<Piece> pieces;  ///< sorted, disjoint
    std::size_t present = 0;    ///< bytes of payload
    std::size_t end = 0;        ///< of the payload; 0 until the last fragment is there
    std::size_t bytes = 0;
    std::uint16_t largest = 0;  ///< total length of the largest fragment
    std::uint8_t ecn_seen = 0;  ///< one bit for each codepoint

    bool has_first() const { return !pieces.empty() && pieces.front().begin == 0; }
    bool is_complete() const { return end != 0 && present == end; }
  };

  static Reason objection(const Ipv4View& fragment);
  static Ipv4View first_fragment(const Datagram& datagram);

  std::size_t find(const Key& key) const;
  std::size_t begin_datagram(const Key& key, Time now);
  bool make_room(const Datagram& datagram, std::size_t bytes);
  Reason insert(Datagram& datagram, const Ipv4View& fragment);
  void discard(Datagram& datagram);
  void remove(std::size_t index);
  Packet assemble(const Datagram& datagram);

  std::vector<std::unique_ptr<Datagram>> datagrams_;  ///< oldest first
  std::size_t bytes_ = 0;
  std::vector<std::unique_ptr<std::uint8_t[]>> handed_out_;
};

}  // namespace vipgate
