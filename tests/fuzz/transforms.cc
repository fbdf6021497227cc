#include "fuzz/transforms.h"

#include <algorithm>
#include <utility>

#include "fuzz/repair.h"

namespace vipgate::fuzz {
namespace {

constexpr std::size_t kMaxChanges = 4;
constexpr std::size_t kMaxCuts = 6;
constexpr std::uint8_t kMoreFragments = 0x20;

// Bits of disorder_.
constexpr std::uint8_t kBackward = 1;
constexpr std::uint8_t kSwap = 2;
constexpr std::uint8_t kTwice = 4;
constexpr std::uint8_t kOverlap = 8;
constexpr std::uint8_t kLoseLast = 16;
constexpr std::uint8_t kLoseFirst = 32;
constexpr std::uint8_t kDontFragment = 64;

void set_fragment_field(std::vector<std::uint8_t>& packet, std::size_t offset, std::uint8_t flags) {
  packet[6] = static_cast<std::uint8_t>(flags | offset >> 11);
  packet[7] = static_cast<std::uint8_t>(offset >> 3);
}

}  // namespace

void Transforms::read(Input& input) {
  switch (input.below(4)) {
    case 0: {
      cuts_.clear();
      const std::size_t count = 1 + input.below(kMaxCuts);
      for (std::size_t i = 0; i < count; ++i) cuts_.push_back(input.byte());
      disorder_ = input.byte();
      break;
    }
    case 1:
      gso_size_ = static_cast<std::uint16_t>(1 + 8 * input.below(182));
      partial_ = true;
      break;
    case 2:
      partial_ = true;
      break;
    default: {
      const std::uint16_t where = input.word();
      const std::uint8_t value = input.byte();
      if (changes_.size() < kMaxChanges) changes_.push_back({where & 0x7fffU, value, (where & 0x8000U) == 0});
    }
  }
}

std::vector<Datagram> Transforms::apply(Datagram packet) {
  const Transforms todo = std::exchange(*this, Transforms());
  if (todo.partial_) make_transport_checksum_partial(packet.bytes, packet.virtio);
  if (todo.gso_size_ != 0 && packet.virtio.flags != 0) {
    packet.virtio.gso_type = packet.bytes[9] == 6 ? VirtioHeader::kGsoTcpV4 : VirtioHeader::kGsoUdpL4;
    packet.virtio.gso_size = todo.gso_size_;
    packet.virtio.header_length = 40;
  }
  for (const Change& change : todo.changes_) {
    packet.bytes[change.offset % packet.bytes.size()] = change.value;
    if (!change.mended) continue;
    if (packet.virtio.flags == 0) repair_transport_checksum(packet.bytes);
    if (packet.virtio.flags != 0) make_transport_checksum_partial(packet.bytes, packet.virtio);
    repair_ip_checksum(packet.bytes);
  }
  if (todo.cuts_.empty() || packet.virtio.flags != 0) return {std::move(packet)};
  return todo.cut(packet);
}

std::vector<Datagram> Transforms::cut(const Datagram& packet) const {
  const std::size_t header = std::size_t{4} * (packet.bytes[0] & 15U);
  if (header < 20 || header > packet.bytes.size()) return {packet};
  const auto begin = packet.bytes.begin() + static_cast<std::ptrdiff_t>(header);
  const auto payload = std::span(begin, packet.bytes.end());
  std::vector<Datagram> pieces;
  for (std::size_t offset = 0; offset < payload.size() || pieces.empty();) {
    const bool is_last = pieces.size() >= cuts_.size();
    const std::size_t wanted =
        is_last ? payload.size() : std::size_t{8} * (cuts_[pieces.size()] == 0 ? 128 : cuts_[pieces.size()]);
    const std::size_t size = std::min(wanted, payload.size() - offset);
    const bool more = offset + size < payload.size();
    const std::size_t overlap =
        more && (disorder_ & kOverlap) != 0 ? std::min<std::size_t>(8, payload.size() - offset - size) / 8 * 8 : 0;
    Datagram& piece = pieces.emplace_back();
    piece.bytes.assign(packet.bytes.begin(), begin);
    const auto data = payload.subspan(offset, size + overlap);
    piece.bytes.insert(piece.bytes.end(), data.begin(), data.end());
    piece.bytes[2] = static_cast<std::uint8_t>(piece.bytes.size() >> 8);
    piece.bytes[3] = static_cast<std::uint8_t>(piece.bytes.size());
    const std::uint8_t dont = (disorder_ & kDontFragment) != 0 ? 0x40 : 0;
    set_fragment_field(piece.bytes, offset, static_cast<std::uint8_t>(dont | (more ? kMoreFragments : 0)));
    repair_ip_checksum(piece.bytes);
    offset += size;
  }
  if ((disorder_ & kTwice) != 0) pieces.push_back(pieces[pieces.size() / 2]);
  if ((disorder_ & kSwap) != 0 && pieces.size() > 2) std::swap(pieces[0], pieces[1]);
  if ((disorder_ & kBackward) != 0) std::reverse(pieces.begin(), pieces.end());
  if ((disorder_ & kLoseLast) != 0) pieces.pop_back();
  if ((disorder_ & kLoseFirst) != 0 && !pieces.empty()) pieces.erase(pieces.begin());
  return pieces;
}

}  // namespace vipgate::fuzz
