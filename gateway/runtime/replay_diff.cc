#include "runtime/replay_diff.h"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

namespace vipgate {
namespace {

using Bytes = std::vector<std::uint8_t>;

// RFC 791 §3.1, RFC 9293 §3.1, RFC 768, RFC 792.
constexpr std::size_t kProtocolAt = 9;
constexpr std::size_t kTcpChecksumAt = 16;
constexpr std::size_t kUdpChecksumAt = 6;
constexpr std::size_t kSourcePortAt = 0;
constexpr std::size_t kDestinationPortAt = 2;
constexpr std::size_t kIcmpChecksumAt = 2;
constexpr std::size_t kIcmpIdAt = 4;
constexpr std::size_t kIcmpQuoteAt = 8;
constexpr std::uint8_t kEchoRequest = 8;
constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;
constexpr std::uint8_t kIcmp = 1;

void clear_two(Bytes& packet, std::size_t at) {
  if (at + 2 <= packet.size()) packet[at] = packet[at + 1] = 0;
}

/// Clears a port of the IPv4 packet at `start`, and the checksum that depends on it; the identifier is an ICMP query's
/// port.
void clear_port(Bytes& packet, std::size_t start, std::size_t port_at) {
  if (start + kProtocolAt >= packet.size()) return;
  const std::uint8_t protocol = packet[start + kProtocolAt];
  const std::size_t transport = start + std::size_t{packet[start] & 0xFU} * 4;
  if (protocol == kTcp || protocol == kUdp) {
    clear_two(packet, transport + port_at);
    clear_two(packet, transport + (protocol == kTcp ? kTcpChecksumAt : kUdpChecksumAt));
  } else if (protocol == kIcmp && transport < packet.size()) {
    clear_two(packet, transport + kIcmpChecksumAt);
    if (packet[transport] == kEchoRequest) return clear_two(packet, transport + kIcmpIdAt);
    const bool quotes = start == 0;  // an error, of a packet that came to the port
    if (quotes) clear_port(packet, transport + kIcmpQuoteAt, kDestinationPortAt);
  }
}

/// What is sent on from who opened the flow, less the port that it was given.
std::vector<Bytes> without_port(std::vector<Bytes> packets) {
  for (Bytes& packet : packets) clear_port(packet, 0, kSourcePortAt);
  return packets;
}

bool is_way_there(const Verdict& verdict) {
  return verdict.action == Action::forward && !verdict.is_reply;
}

bool same_output(const ReplayedPacket& was, const ReplayedPacket& would_be) {
  if (was.out == would_be.out) return true;
  if (!is_way_there(was.verdict) || !is_way_there(would_be.verdict)) return false;
  return without_port(was.out) == without_port(would_be.out);
}

}  // namespace

std::string_view name_of(Difference difference) {
  constexpr std::array<std::string_view, kDifferences> kNames{"none",    "verdict", "reason",
                                                              "service", "backend", "output"};
  return kNames[static_cast<std::size_t>(difference)];
}

Difference compare(const ReplayedPacket& was, const ReplayedPacket& would_be) {
  if (was.own_output != would_be.own_output || was.verdict.action != would_be.verdict.action)
    return Difference::verdict;
  if (was.verdict.reason != would_be.verdict.reason) return Difference::reason;
  if (was.service != would_be.service) return Difference::service;
  if (was.backend != would_be.backend) return Difference::backend;
  return same_output(was, would_be) ? Difference::none : Difference::output;
}

}  // namespace vipgate
