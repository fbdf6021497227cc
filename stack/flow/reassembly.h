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
/// Memory is bounded, for each source and for all. A source that has its share makes room among its own datagrams.
/// Where all is taken, the source with most datagrams makes room, and of several such the one whose datagram is the
/// oldest: who floods pushes itself out, not those with few datagrams, be they large. What gives way is always the
/// oldest of its source.
///
/// Work is bounded: a fragment costs a walk over kMaxDatagrams and a search among kMaxPieces.
///
/// A datagram that cannot be trusted (fragments that overlap, exceed the largest datagram or contradict each other in
/// ECN, or too many of them) is discarded at once; what comes of it later is dropped until its time is over. RFC 5722
/// says so of overlaps in IPv6, and practice of those in IPv4.
class Reassembly {
 public:
  /// From the first fragment that came on (RFC 1122 §3.3.2 asks for a fixed time of at least this; Linux: ipfrag_time).
  static constexpr Duration kTimeout = std::chrono::seconds(30);

  /// Discarded ones that still wait for their time count.
  static constexpr std::size_t kMaxDatagrams = 64;
  static constexpr std::size_t kMaxDatagramsOfSource = 16;
  /// Buffers and the lists of them; at most 16 MiB for 64 shards, with 12 KiB a shard for datagrams themselves. Those
  /// handed out come on top.
  static constexpr std::size_t kMaxBytes = std::size_t{240} * 1024;
  /// Two of the largest datagrams in fragments of 576 bytes.
  static constexpr std::size_t kMaxBytesOfSource = std::size_t{160} * 1024;
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
    for (; !datagrams_.empty() && datagrams_.front()->deadline <= now; remove(datagrams_.begin())) {
      const Datagram& datagram = *datagrams_.front();
      if (datagram.is_discarded()) continue;
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
  /// What one source has here.
  struct Source {
    std::size_t datagrams = 0;
    std::size_t bytes = 0;
  };
  /// A fragment as it came, header included. `begin` and `end` say where its payload belongs.
  struct Piece {
    std::unique_ptr<std::uint8_t[]> packet;
    std::uint16_t begin = 0;
    std::uint16_t end = 0;
    std::uint16_t header = 0;

    std::size_t length() const { return std::size_t{end} - begin; }
  };
  /// What a piece takes beyond its bytes, at most: the allocator's share, and a list that grows by doubling.
  static constexpr std::size_t kPieceCost = 24 + 2 * sizeof(Piece);

  struct Datagram {
    Key key;
    std::shared_ptr<Source> source;
    Time deadline;
    Reason discarded_for = Reason::none;
    std::vector<Piece> pieces;  ///< sorted, disjoint
    std::size_t present = 0;    ///< bytes of payload
    std::size_t end = 0;        ///< of the payload; 0 until the last fragment is there
    std::size_t bytes = 0;      ///< of memory
    std::uint16_t largest = 0;  ///< total length of the largest fragment
    std::uint8_t ecn_seen = 0;  ///< one bit for each codepoint

    bool is_discarded() const { return discarded_for != Reason::none; }
    bool has_first() const { return !pieces.empty() && pieces.front().begin == 0; }
    bool is_complete() const { return end != 0 && present == end; }
  };
  using Datagrams = std::vector<std::unique_ptr<Datagram>>;

  static Ipv4View first_fragment(const Datagram& datagram);

  Datagram& datagram_of(const Key& key, Time now);
  Datagram& begin_datagram(const Key& key, Time now);
  template <typename Applies>
  Datagrams::iterator oldest(Applies&& applies);
  template <typename Applies>
  Datagrams::iterator oldest_of_busiest(Applies&& applies);
  void make_room(const Datagram& datagram, std::size_t bytes);
  Reason insert(Datagram& datagram, const Ipv4View& fragment);
  void charge(Datagram& datagram, std::size_t bytes);
  void discard(Datagram& datagram, Reason reason);
  void remove(Datagrams::iterator datagram);
  Packet assemble(const Datagram& datagram);

  Datagrams datagrams_;  ///< oldest first
  std::size_t bytes_ = 0;
  std::vector<std::unique_ptr<std::uint8_t[]>> handed_out_;
};

}  // namespace vipgate
