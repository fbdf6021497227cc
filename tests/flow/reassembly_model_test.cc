#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <vector>

#include "flow/reassembly.h"
#include "support/fragments.h"

// Reassembly beside a model that keeps everything and looks at all of it, byte by byte, for every fragment.

namespace vipgate::test {
namespace {

using std::chrono::seconds;
using Bytes = std::vector<std::uint8_t>;

std::size_t get16(const Bytes& packet, std::size_t at) {
  return std::size_t{packet[at]} << 8 | packet[at + 1];
}

struct Fragment {
  explicit Fragment(const WirePacket& from)
      : packet(from.bytes().begin(), from.bytes().end()),
        header(std::size_t{4} * (packet[0] & 15)),
        begin(8 * (get16(packet, 6) & 0x1fff)),
        end(begin + packet.size() - header),
        more((packet[6] & 0x20) != 0) {}

  Bytes packet;
  std::size_t header;
  std::size_t begin;
  std::size_t end;
  bool more;
};

class Model {
 public:
  struct Outcome {
    Reason reason = Reason::none;
    Bytes whole{};
    std::size_t largest = 0;
  };

  Outcome add(const WirePacket& packet, Time now) {
    const Fragment fragment(packet);
    if (const Reason reason = alone(fragment); reason != Reason::none) return {reason};
    const Bytes key(fragment.packet.begin() + 12, fragment.packet.begin() + 20);
    const auto place = std::array{get16(key, 0) << 16 | get16(key, 2), get16(key, 4) << 16 | get16(key, 6),
                                  std::size_t{fragment.packet[9]}, get16(fragment.packet, 4)};
    auto& [began, dead, seen] = datagrams_.try_emplace(place, Datagram{now}).first->second;
    if (dead != Reason::none) return {dead};
    dead = together(seen, fragment);
    if (dead != Reason::none) return {dead};
    if (!is_repeated(seen, fragment)) seen.push_back(fragment);
    Outcome outcome{.whole = joined(seen)};
    for (const Fragment& one : seen) outcome.largest = std::max(outcome.largest, one.packet.size());
    if (!outcome.whole.empty()) datagrams_.erase(place);
    return outcome;
  }

  /// How many came to nothing, and how many of them had their beginning.
  std::pair<std::size_t, std::size_t> expire(Time now) {
    std::size_t expired = 0;
    std::size_t with_first = 0;
    std::erase_if(datagrams_, [&](const auto& entry) {
      const auto& [began, dead, seen] = entry.second;
      if (now < began + seconds(30)) return false;
      if (dead != Reason::none) return true;
      ++expired;
      with_first += std::ranges::any_of(seen, [](const Fragment& one) { return one.begin == 0; }) ? 1 : 0;
      return true;
    });
    return {expired, with_first};
  }

 private:
  struct Datagram {
    Time began;
    Reason dead = Reason::none;
    std::vector<Fragment> seen{};
  };

  static Reason alone(const Fragment& fragment) {
    const std::size_t length = fragment.end - fragment.begin;
    if (length == 0 || (fragment.more && length % 8 != 0)) return Reason::fragment_length;
    const bool is_tcp = fragment.packet[9] == 6;
    if (fragment.begin == 0 && length < (is_tcp ? 20U : 8U)) return Reason::fragment_tiny;
    return is_tcp && fragment.begin == 8 ? Reason::fragment_tiny : Reason::none;
  }

  static bool is_repeated(const std::vector<Fragment>& seen, const Fragment& fragment) {
    return std::ranges::any_of(seen, [&](const Fragment& one) {
      return one.begin == fragment.begin && one.end == fragment.end && one.more == fragment.more;
    });
  }

  static Reason together(const std::vector<Fragment>& seen, const Fragment& fragment) {
    std::size_t header = fragment.header;
    std::size_t furthest = fragment.end;
    std::vector<bool> taken(131072);
    std::vector<bool> codepoints(4);
    codepoints[fragment.packet[1] & 3] = true;
    bool contradicts = false;
    for (const Fragment& one : seen) {
      if (one.begin == 0 && fragment.begin != 0) header = one.header;
      furthest = std::max(furthest, one.end);
      std::fill(taken.begin() + static_cast<std::ptrdiff_t>(one.begin),
                taken.begin() + static_cast<std::ptrdiff_t>(one.end), true);
      codepoints[one.packet[1] & 3] = true;
      const bool both_last = !one.more && !fragment.more && one.end != fragment.end;
      contradicts = contradicts || both_last || (!one.more && fragment.end > one.end) ||
                    (!fragment.more && one.end > fragment.end);
    }
    if (header + furthest > 65535) return Reason::fragment_too_long;
    if (is_repeated(seen, fragment)) return Reason::none;
    for (std::size_t i = fragment.begin; i < fragment.end; ++i) contradicts = contradicts || taken[i];
    if (contradicts) return Reason::fragment_overlap;
    if (codepoints[0] && (codepoints[1] || codepoints[2] || codepoints[3])) return Reason::fragment_ecn;
    return Reason::none;
  }

  /// The whole datagram, its header checksum 0, or nothing.
  static Bytes joined(const std::vector<Fragment>& seen) {
    const Fragment* first = nullptr;
    std::size_t end = 0;
    bool congested = false;
    Bytes payload(65536);
    std::vector<bool> present(65536);
    for (const Fragment& one : seen) {
      if (one.begin == 0) first = &one;
      if (!one.more) end = one.end;
      congested = congested || (one.packet[1] & 3) == 3;
      for (std::size_t i = one.begin; i < one.end; ++i) {
        payload[i] = one.packet[one.header + i - one.begin];
        present[i] = true;
      }
    }
    for (std::size_t i = 0; i < end; ++i) {
      if (!present[i]) return {};
    }
    if (first == nullptr || end == 0) return {};
    Bytes whole(first->packet.begin(), first->packet.begin() + static_cast<std::ptrdiff_t>(first->header));
    whole.insert(whole.end(), payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(end));
    if (congested) whole[1] |= 3;
    whole[2] = static_cast<std::uint8_t>(whole.size() >> 8);
    whole[3] = static_cast<std::uint8_t>(whole.size());
    whole[6] &= 0x40;
    whole[7] = whole[10] = whole[11] = 0;
    return whole;
  }

  std::map<std::array<std::size_t, 4>, Datagram> datagrams_;
};

/// Datagrams under few keys, cut in ways that fit and in ways that do not.
class Sender {
 public:
  explicit Sender(std::uint32_t seed) : random_(seed) {}

  std::uint32_t below(std::size_t limit) { return static_cast<std::uint32_t>(random_() % limit); }

  WirePacket next() {
    std::vector<WirePacket>& pieces = pieces_[below(pieces_.size())];
    if (pieces.empty()) refill(pieces);
    const std::size_t index = below(pieces.size());
    WirePacket piece = pieces[index];
    if (below(8) != 0) pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(index));  // else it comes again
    if (below(100) == 0) spoil(piece);
    return piece;
  }

 private:
  PacketBuilder datagram() {
    const Endpoint source{Ipv4Address(0xc6336407 + below(3)), 40000};
    const Endpoint destination{Ipv4Address(0xcb00710a + below(2)), 53};
    const Protocol protocols[] = {Protocol::udp, Protocol::tcp, Protocol::icmp};
    PacketBuilder builder(protocols[below(3)], source, destination);
    builder = builder.payload_of(40 + below(500)).ip_id(static_cast<std::uint16_t>(below(2)));
    if (below(4) != 0) builder = builder.fragment(0, false);  // else DF stays set
    if (below(4) == 0) builder = builder.ip_options({7, 7, 4, 0, 0, 0, 0, 1, 131, 3, 4, 0});
    return builder.tos(static_cast<std::uint8_t>(below(10) == 0 ? below(256) : 0))
        .ttl(static_cast<std::uint8_t>(below(256)));
  }

  void refill(std::vector<WirePacket>& pieces) {
    const WirePacket whole = datagram().build();
    pieces = fragments_of(whole, 28 + below(230));
    if (below(8) == 0) {  // once more with other cuts, which overlap
      const auto more = fragments_of(whole, 28 + below(230));
      pieces.insert(pieces.end(), more.begin(), more.end());
    }
    if (below(8) == 0) pieces.pop_back();
    // What was never cut is no fragment.
    std::erase_if(pieces, [](const WirePacket& piece) { return !Ipv4View::parse(piece.bytes())->is_fragment(); });
    if (pieces.empty()) refill(pieces);
  }

  /// Changes what belongs together. The header checksum is looked at before, not here.
  void spoil(WirePacket& piece) {
    auto bytes = piece.bytes();
    switch (below(6)) {
      case 0:
        bytes[6] ^= 0x20;  // more fragments
        break;
      case 1:
        bytes[7] = static_cast<std::uint8_t>(below(64));  // offset
        break;
      case 2:
        bytes[6] = bytes[7] = 0xff;
        break;
      case 3:
        bytes[1] = static_cast<std::uint8_t>(bytes[1] ^ (1 + below(3)));  // ECN
        break;
      case 4:
        bytes[bytes.size() - 1] ^= 0xff;  // other content under the same bounds
        break;
      default: {
        const std::size_t header = std::size_t{4} * (bytes[0] & 15);
        const std::size_t size = header + below(bytes.size() - header);
        bytes[2] = static_cast<std::uint8_t>(size >> 8);
        bytes[3] = static_cast<std::uint8_t>(size);
        piece = WirePacket(bytes.first(size), {});
      }
    }
  }

  std::mt19937 random_;
  std::array<std::vector<WirePacket>, 12> pieces_;
};

TEST(ReassemblyModel, never_a_wrong_byte_and_always_the_same_reason) {
  std::map<Reason, int> reasons;
  int completed = 0;
  std::size_t expired = 0;
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    Sender sender(seed);
    Model model;
    Reassembly reassembly;
    Time now{seconds(1000)};
    for (int step = 0; step < 1000; ++step) {
      if (sender.below(20) == 0) {
        now += seconds(sender.below(12));
        std::size_t with_first = 0;
        const std::size_t count = reassembly.expire(now, [&](const Ipv4View& first) {
          EXPECT_EQ(first.fragment_offset(), 0U);
          ++with_first;
        });
        ASSERT_EQ(std::pair(count, with_first), model.expire(now));
        expired += count;
      }
      const WirePacket piece = sender.next();
      const auto expected = model.add(piece, now);
      const auto result = reassembly.add(*Ipv4View::parse(piece.bytes()), now);
      ASSERT_EQ(name_of(result.reason), name_of(expected.reason)) << "seed " << seed << ", step " << step;
      ASSERT_EQ(result.whole.has_value(), !expected.whole.empty()) << "seed " << seed << ", step " << step;
      ++reasons[result.reason];
      if (!result.whole) continue;
      ++completed;
      auto whole = result.whole->bytes;
      ASSERT_EQ(naive_sum(whole.first(std::size_t{4} * (whole[0] & 15))), 0xffff);
      ASSERT_EQ(result.whole->fragment_size, expected.largest);
      whole[10] = whole[11] = 0;
      ASSERT_TRUE(std::ranges::equal(whole, expected.whole)) << "seed " << seed << ", step " << step;
      if (sender.below(4) == 0) reassembly.release();
    }
    reassembly.expire(now + seconds(30), [](const Ipv4View&) {});
    EXPECT_EQ(reassembly.datagrams(), 0U);
    EXPECT_EQ(reassembly.bytes(), 0U);
  }
  EXPECT_GT(completed, 5000);
  EXPECT_GT(expired, 200U);
  for (const Reason reason : {Reason::fragment_length, Reason::fragment_tiny, Reason::fragment_overlap,
                              Reason::fragment_too_long, Reason::fragment_ecn}) {
    EXPECT_GT(reasons[reason], 20) << name_of(reason);
  }
}

}  // namespace
}  // namespace vipgate::test
