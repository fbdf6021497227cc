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

}  // namespace

/// What is wrong with a fragment by itself.
Reason Reassembly::objection(const Ipv4View& fragment) {
  const std::size_t length = fragment.payload().size();
  const std::size_t offset = fragment.fragment_offset();
  if (length == 0 || (fragment.more_fragments() && length % 8 != 0)) return Reason::fragment_length;
  if (offset + length + fragment.header_length() > kMaxPacketSize) return Reason::fragment_too_long;
  // RFC 1858 §3 and RFC 3128: no fragment border within what filters look at.
  const bool parts_header = offset == 0 && length < transport_header(fragment.protocol());
  const bool begins_in_tcp_header = offset == 8 && static_cast<Protocol>(fragment.protocol()) == Protocol::tcp;
  return parts_header || begins_in_tcp_header ? Reason::fragment_tiny : Reason::none;
}

Reassembly::Result Reassembly::add(const Ipv4View& fragment, Time now) {
  const Key key{fragment.source(), fragment.destination(), fragment.id(), fragment.protocol()};
  std::size_t index = find(key);
  const Reason objectionable = objection(fragment);
  if (objectionable != Reason::none) {
    // The datagram cannot become whole any more.
    if (objectionable == Reason::fragment_too_long && index < datagrams_.size()) discard(*datagrams_[index]);
    return {.reason = objectionable};
  }
  if (index == datagrams_.size()) index = begin_datagram(key, now);
  Datagram& datagram = *datagrams_[index];
  if (datagram.is_discarded) return {.reason = Reason::fragment_overlap};
  const Reason reason = insert(datagram, fragment);
  if (reason != Reason::none || !datagram.is_complete()) return {.reason = reason};
  const Packet whole = assemble(datagram);
  remove(find(key));  // making room may have moved it
  return {.reason = Reason::none, .whole = whole};
}

std::size_t Reassembly::find(const Key& key) const {
  const auto found = std::find_if(datagrams_.begin(), datagrams_.end(), [&](const auto& d) { return d->key == key; });
  return static_cast<std::size_t>(found - datagrams_.begin());
}

std::size_t Reassembly::begin_datagram(const Key& key, Time now) {
  const auto of_source = [&](const auto& datagram) { return datagram->key.source == key.source; };
  const auto count = std::count_if(datagrams_.begin(), datagrams_.end(), of_source);
  if (static_cast<std::size_t>(count) >= kMaxDatagramsOfSource) {
    const auto oldest = std::find_if(datagrams_.begin(), datagrams_.end(), of_source);
    remove(static_cast<std::size_t>(oldest - datagrams_.begin()));
  } else if (datagrams_.size() == kMaxDatagrams) {
    remove(0);
  }
  datagrams_.push_back(std::make_unique<Datagram>());
  datagrams_.back()->key = key;
  datagrams_.back()->deadline = now + kTimeout;
  return datagrams_.size() - 1;
}

/// Lets others give way until `datagram` may have so many bytes more: those of the same source first, where it has its
/// share, else the oldest.
bool Reassembly::make_room(const Datagram& datagram, std::size_t bytes) {
  const auto remove_oldest = [&](const auto& gives_way) {
    const auto victim = std::find_if(datagrams_.begin(), datagrams_.end(), [&](const auto& other) {
      return other.get() != &datagram && other->bytes > 0 && gives_way(*other);
    });
    if (victim == datagrams_.end()) return false;
    remove(static_cast<std::size_t>(victim - datagrams_.begin()));
    return true;
  };
  const auto of_source = [&](const Datagram& other) { return other.key.source == datagram.key.source; };
  const auto source_bytes = [&] {
    std::size_t sum = 0;
    for (const auto& other : datagrams_) sum += of_source(*other) ? other->bytes : 0;
    return sum;
  };
  while (source_bytes() + bytes > kMaxBytesOfSource) {
    if (!remove_oldest(of_source)) return false;
  }
  while (bytes_ + bytes > kMaxBytes) {
    if (!remove_oldest([](const Datagram&) { return true; })) return false;
  }
  return true;
}

Reason Reassembly::insert(Datagram& datagram, const Ipv4View& fragment) {
  Piece piece;
  piece.begin = fragment.fragment_offset();
  piece.end = piece.begin + fragment.payload().size();
  auto& pieces = datagram.pieces;
  const auto next = std::lower_bound(pieces.begin(), pieces.end(), piece.begin,
                                     [](const Piece& p, std::size_t begin) { return p.begin < begin; });
  const bool duplicate = next != pieces.end() && next->begin == piece.begin && next->end == piece.end &&
                         fragment.more_fragments() == (piece.end != datagram.end);
  if (duplicate) return Reason::none;
  const bool overlaps = (next != pieces.end() && next->begin < piece.end) ||
                        (next != pieces.begin() && std::prev(next)->end > piece.begin);
  // Two ends, or data behind the end, contradict each other as overlapping data does.
  const bool beyond = datagram.end != 0 && (piece.end > datagram.end || !fragment.more_fragments());
  const bool cuts = !fragment.more_fragments() && !pieces.empty() && pieces.back().end > piece.end;
  if (overlaps || beyond || cuts) {
    discard(datagram);
    return Reason::fragment_overlap;
  }
  const auto ecn = static_cast<std::uint8_t>(datagram.ecn_seen | 1U << (fragment.tos() & kEcnMask));
  if ((ecn & 1U << kNotEct) != 0 && (ecn & 1U << kCongestion) != 0) {  // RFC 3168 §5.3
    discard(datagram);
    return Reason::fragment_ecn;
  }
  const std::uint8_t* packet = fragment.header().data();
  const std::size_t cost = fragment.total_length() + sizeof(Piece);
  if (pieces.size() == kMaxPieces || !make_room(datagram, cost)) {
    discard(datagram);
    return Reason::fragment_limit;
  }
  piece.packet.assign(packet, packet + fragment.total_length());
  datagram.ecn_seen = ecn;
  datagram.largest = std::max(datagram.largest, fragment.total_length());
  datagram.present += piece.end - piece.begin;
  if (!fragment.more_fragments()) datagram.end = piece.end;
  datagram.bytes += cost;
  bytes_ += cost;
  pieces.insert(next, std::move(piece));
  return Reason::none;
}

/// Frees all that came of the datagram. Its place stays taken until its time is over.
void Reassembly::discard(Datagram& datagram) {
  bytes_ -= datagram.bytes;
  datagram.bytes = 0;
  datagram.is_discarded = true;
  datagram.pieces = {};
}

void Reassembly::remove(std::size_t index) {
  bytes_ -= datagrams_[index]->bytes;
  datagrams_.erase(datagrams_.begin() + static_cast<std::ptrdiff_t>(index));
}

Ipv4View Reassembly::first_fragment(const Datagram& datagram) {
  return *Ipv4View::parse(datagram.pieces.front().packet);
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
    const std::size_t length = piece.end - piece.begin;
    std::memcpy(ip + header + piece.begin, piece.packet.data() + piece.packet.size() - length, length);
  }
  store16(ip + ipv4::kTotalLength, static_cast<std::uint16_t>(size));
  store16(ip + ipv4::kFragment, first.dont_fragment() ? ipv4::kDontFragment : 0);
  if ((datagram.ecn_seen & 1U << kCongestion) != 0) ip[ipv4::kTos] |= kCongestion;
  store16(ip + ipv4::kChecksum, 0);
  store16(ip + ipv4::kChecksum, static_cast<std::uint16_t>(~checksum_sum({ip, header})));
  return {.bytes = {ip, size}, .virtio = {}, .fragment_size = datagram.largest};
}

}  // namespace vipgate
