#include "flow/reassembly.h"

#include <algorithm>
#include <cstring>

#include "vipgate/rules.h"
#include "wire/icmp.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace vipgate {
namespace {

// ECN codepoints, RFC 3168 §5, in the lowest bits of the TOS field.
constexpr std::uint8_t kEcnMask = 3;
constexpr std::uint8_t kNotEct = 0;
constexpr std::uint8_t kCongestion = 3;

constexpr std::size_t kMaxHeader = 60;  // RFC 791 §3.1: IHL is at most 15 words

constexpr std::uint8_t ecn_bit(std::uint8_t codepoint) {
  return static_cast<std::uint8_t>(1U << codepoint);
}

std::size_t transport_header(std::uint8_t protocol) {
  switch (static_cast<Protocol>(protocol)) {
    case Protocol::tcp:
      return tcp::kMinHeader;
    case Protocol::udp:
      return udp::kHeader;
    case Protocol::icmp:
      return icmp::kHeader;
  }
  return 0;
}

/// What is wrong with a fragment by itself.
Reason objection(const Ipv4View& fragment) {
  const std::size_t length = fragment.payload().size();
  const std::size_t offset = fragment.fragment_offset();
  if (length == 0 || (fragment.more_fragments() && length % 8 != 0)) return Reason::fragment_length;
  // RFC 1858 §3 and RFC 3128: no fragment border within what filters look at.
  const bool parts_header = offset == 0 && length < transport_header(fragment.protocol());
  const bool begins_in_tcp_header = offset == 8 && static_cast<Protocol>(fragment.protocol()) == Protocol::tcp;
  return parts_header || begins_in_tcp_header ? Reason::fragment_tiny : Reason::none;
}

}  // namespace

Reassembly::Result Reassembly::add(const Ipv4View& fragment, Time now) {
  if (const Reason reason = objection(fragment); reason != Reason::none) return {.reason = reason};
  Datagram& datagram =
      datagram_of({fragment.source(), fragment.destination(), fragment.id(), fragment.protocol()}, now);
  if (datagram.is_discarded()) return {.reason = datagram.discarded_for};
  const Reason reason = insert(datagram, fragment);
  if (reason != Reason::none) discard(datagram, reason);
  if (reason != Reason::none || !datagram.is_complete()) return {.reason = reason};
  const Packet whole = assemble(datagram);
  remove(oldest([&](const Datagram& other) { return &other == &datagram; }));
  return {.reason = Reason::none, .whole = whole};
}

Reassembly::Datagram& Reassembly::datagram_of(const Key& key, Time now) {
  const auto found = oldest([&](const Datagram& datagram) { return datagram.key == key; });
  return found != datagrams_.end() ? **found : begin_datagram(key, now);
}

Reassembly::Datagram& Reassembly::begin_datagram(const Key& key, Time now) {
  const auto of_source = [&](const Datagram& datagram) { return datagram.key.source == key.source; };
  const auto own_oldest = oldest(of_source);
  const auto source = own_oldest != datagrams_.end() ? (*own_oldest)->source : std::make_shared<Source>();
  if (source->datagrams == kMaxDatagramsOfSource) {
    remove(own_oldest);
  } else if (datagrams_.size() == kMaxDatagrams) {
    remove(oldest_of_busiest([](const Datagram&) { return true; }));
  }
  Datagram& datagram = *datagrams_.emplace_back(std::make_unique<Datagram>());
  datagram.key = key;
  datagram.source = source;
  datagram.deadline = now + kTimeout;
  ++source->datagrams;
  return datagram;
}

template <typename Applies>
Reassembly::Datagrams::iterator Reassembly::oldest(Applies&& applies) {
  return std::find_if(datagrams_.begin(), datagrams_.end(), [&](const auto& datagram) { return applies(*datagram); });
}

/// Of the datagrams to which something applies: the oldest of the source that has most datagrams here.
template <typename Applies>
Reassembly::Datagrams::iterator Reassembly::oldest_of_busiest(Applies&& applies) {
  auto found = datagrams_.end();
  for (auto datagram = datagrams_.begin(); datagram != datagrams_.end(); ++datagram) {
    if (!applies(**datagram)) continue;
    if (found == datagrams_.end() || (*datagram)->source->datagrams > (*found)->source->datagrams) found = datagram;
  }
  return found;
}

/// Lets others give way until `datagram` may have so many bytes more.
void Reassembly::make_room(const Datagram& datagram, std::size_t bytes) {
  // Alone it always has room, so there is somebody to give way.
  static_assert(kMaxPacketSize + kMaxPieces * (kMaxHeader + kPieceCost) <= kMaxBytesOfSource);
  static_assert(kMaxBytesOfSource <= kMaxBytes);
  const auto gives_way = [&](const Datagram& other) { return &other != &datagram && other.bytes > 0; };
  while (datagram.source->bytes + bytes > kMaxBytesOfSource) {
    remove(oldest([&](const Datagram& other) { return gives_way(other) && other.source == datagram.source; }));
  }
  while (bytes_ + bytes > kMaxBytes) remove(oldest_of_busiest(gives_way));
}

/// Returns why the datagram is to be discarded, if it is.
Reason Reassembly::insert(Datagram& datagram, const Ipv4View& fragment) {
  auto& pieces = datagram.pieces;
  const std::size_t begin = fragment.fragment_offset();
  const std::size_t end = begin + fragment.payload().size();
  const std::size_t furthest = pieces.empty() ? end : std::max<std::size_t>(end, pieces.back().end);
  // The whole has the header of the first fragment, which may be longer than those of the others.
  const std::size_t header = begin != 0 && datagram.has_first() ? pieces.front().header : fragment.header_length();
  if (header + furthest > kMaxPacketSize) return Reason::fragment_too_long;

  const auto next = std::lower_bound(pieces.begin(), pieces.end(), begin,
                                     [](const Piece& piece, std::size_t at) { return piece.begin < at; });
  const bool duplicate = next != pieces.end() && next->begin == begin && next->end == end &&
                         fragment.more_fragments() == (end != datagram.end);
  if (duplicate) return Reason::none;
  const bool overlaps =
      (next != pieces.end() && next->begin < end) || (next != pieces.begin() && std::prev(next)->end > begin);
  // Two ends, or data behind the end, contradict each other as overlapping data does.
  const bool beyond = datagram.end != 0 && end > datagram.end;
  const bool cuts = !fragment.more_fragments() && furthest > end;
  if (overlaps || beyond || cuts) return Reason::fragment_overlap;

  // RFC 3168 §5.3; Not-ECT beside any other codepoint is refused as Linux does (ip_frag_ecn_table).
  const auto ecn = static_cast<std::uint8_t>(datagram.ecn_seen | ecn_bit(fragment.tos() & kEcnMask));
  if ((ecn & ecn_bit(kNotEct)) != 0 && ecn != ecn_bit(kNotEct)) return Reason::fragment_ecn;

  if (pieces.size() == kMaxPieces) return Reason::fragment_limit;
  const std::size_t size = fragment.total_length();
  make_room(datagram, size + kPieceCost);
  Piece piece{.packet = std::unique_ptr<std::uint8_t[]>(new std::uint8_t[size]),  // filled here
              .begin = static_cast<std::uint16_t>(begin),
              .end = static_cast<std::uint16_t>(end),
              .header = static_cast<std::uint16_t>(fragment.header_length())};
  std::memcpy(piece.packet.get(), fragment.header().data(), size);
  pieces.insert(next, std::move(piece));
  charge(datagram, size + kPieceCost);
  datagram.ecn_seen = ecn;
  datagram.largest = std::max(datagram.largest, fragment.total_length());
  datagram.present += end - begin;
  if (!fragment.more_fragments()) datagram.end = end;
  return Reason::none;
}

void Reassembly::charge(Datagram& datagram, std::size_t bytes) {
  datagram.bytes += bytes;
  datagram.source->bytes += bytes;
  bytes_ += bytes;
}

/// Frees all that came of the datagram. Its place stays taken until its time is over.
void Reassembly::discard(Datagram& datagram, Reason reason) {
  datagram.source->bytes -= datagram.bytes;
  bytes_ -= datagram.bytes;
  datagram.bytes = 0;
  datagram.pieces = std::vector<Piece>();  // the list itself, too
  datagram.discarded_for = reason;
}

void Reassembly::remove(Datagrams::iterator datagram) {
  Source& source = *(*datagram)->source;
  --source.datagrams;
  source.bytes -= (*datagram)->bytes;
  bytes_ -= (*datagram)->bytes;
  datagrams_.erase(datagram);
}

Ipv4View Reassembly::first_fragment(const Datagram& datagram) {
  const Piece& first = datagram.pieces.front();
  return *Ipv4View::parse({first.packet.get(), first.header + first.length()});
}

/// The first fragment's header (RFC 791 §3.2), and the payload of all.
Packet Reassembly::assemble(const Datagram& datagram) {
  const Ipv4View first = first_fragment(datagram);
  const std::size_t header = first.header_length();
  const std::size_t size = header + datagram.end;
  auto& memory = handed_out_.emplace_back(new std::uint8_t[size + kSpareRoom]);
  std::uint8_t* ip = memory.get();
  std::memcpy(ip, first.header().data(), header);
  for (const Piece& piece : datagram.pieces) {
    std::memcpy(ip + header + piece.begin, piece.packet.get() + piece.header, piece.length());
  }
  store16(ip + ipv4::kTotalLength, static_cast<std::uint16_t>(size));
  store16(ip + ipv4::kFragment, first.dont_fragment() ? ipv4::kDontFragment : 0);
  if ((datagram.ecn_seen & ecn_bit(kCongestion)) != 0) ip[ipv4::kTos] |= kCongestion;
  store16(ip + ipv4::kChecksum, 0);
  store16(ip + ipv4::kChecksum, static_cast<std::uint16_t>(~checksum_sum({ip, header})));
  return {.bytes = {ip, size}, .virtio = {}, .fragment_size = datagram.largest};
}

}  // namespace vipgate
