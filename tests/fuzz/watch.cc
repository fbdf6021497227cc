#include "fuzz/watch.h"

#include "fuzz/require.h"
#include "fuzz/rules.h"
#include "vipgate/inspect.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/tcp.h"

namespace vipgate::fuzz {
namespace {

constexpr std::uint16_t kFirstAnnounced = 1024;  // RFC 2577 §3

bool opens(const Ipv4View& ip) {
  if (ip.is_fragment()) return false;
  if (ip.protocol() == static_cast<std::uint8_t>(Protocol::udp)) return true;
  if (ip.protocol() != static_cast<std::uint8_t>(Protocol::tcp)) return false;
  const auto tcp = TcpView::parse(ip.payload());
  return tcp && tcp->has(tcp::kSyn) && !tcp->has(tcp::kAck);
}

/// Whether a packet is no ICMP error, or one to the source of the packet that it quotes.
bool is_sent_back(const Ipv4View& ip) {
  if (ip.is_fragment() || ip.protocol() != static_cast<std::uint8_t>(Protocol::icmp)) return true;
  const auto icmp = IcmpView::parse(ip.payload());
  if (!icmp || !icmp->is_error()) return true;
  const auto quoted = Ipv4View::parse_quoted(icmp->payload());
  return quoted && quoted->source() == ip.destination();
}

}  // namespace

void Watch::configure(const Rules& rules) {
  own_ = {rules.masquerade.begin(), rules.masquerade.end()};
  hosts_.clear();
  for (const Vip& vip : rules.vips) {
    (vip.shared ? hosts_ : own_).insert(vip.address);
    ours_.insert(vip.address);
  }
  ours_.insert(own_.begin(), own_.end());
  for (const Vip& vip : rules.vips) {
    for (const Service& service : vip.services) {
      has_helper_ = has_helper_ || service.helper != Helper::none;
      for (const Backend& backend : service.backends) {
        backends_.insert(backend.address);
        const bool one_port = service.ports.size() == 1 && service.ports[0].first == service.ports[0].last;
        if (backend.port && one_port) {
          served_.insert({backend.address, *backend.port});
        } else if (one_port && !service.wildcard) {
          served_.insert({backend.address, service.ports[0].first});
        } else {
          served_.insert({backend.address, 0});
        }
      }
    }
  }
}

void Watch::went_in(const Datagram& packet) {
  const auto ip = Ipv4View::parse(packet.bytes);
  if (!ip) return;
  Endpoint source{ip->source(), 0};
  Endpoint destination{ip->destination(), 0};
  if (ip->fragment_offset() == 0 && ip->payload().size() >= 4) {
    source.port = load16(ip->payload().data() + tcp::kSourcePort);
    destination.port = load16(ip->payload().data() + tcp::kDestinationPort);
  }
  known_.insert(source.address);
  used_.insert(source);
  if (!is_private(source.address)) return;
  known_.insert(destination.address);
  used_.insert(destination);
}

void Watch::was_decided(const Datagram& packet, const Verdict& verdict) const {
  const auto ip = Ipv4View::parse(packet.bytes);
  if (!ip || verdict.action == Action::drop) return;
  require(!own_.contains(ip->source()), "nobody else may use our addresses", packet);
  if (verdict.action == Action::pass && hosts_.contains(ip->destination())) return;  // the host judges it
  require(is_sent_back(*ip), "an error is about a packet from whom it is sent to", packet);
}

void Watch::came_out(const Datagram& packet, Action action) const {
  if (action == Action::pass) return;
  const auto ip = Ipv4View::parse(packet.bytes);
  require(static_cast<bool>(ip), "what comes out is whole", packet);
  const auto endpoints = *endpoints_of(packet.bytes);
  const Ipv4Address target = endpoints.destination.address;
  require(known_.contains(target) || backends_.contains(target), "nothing goes to whom nobody knows", packet);
  require(is_private(target) || !is_private(ip->source()) || ours_.contains(ip->source()),
          "no private address is shown to the public", packet);
  require(is_sent_back(*ip), "an error goes to whom the packet came from that it quotes", packet);
  if (opens(*ip)) require_open(packet, endpoints.destination);
}

void Watch::require_open(const Datagram& packet, const Endpoint& target) const {
  const bool is_served = served_.contains(target) || served_.contains({target.address, 0});
  const bool may_be_announced = has_helper_ && target.port >= kFirstAnnounced && known_.contains(target.address);
  require(is_served || used_.contains(target) || may_be_announced, "nothing opens a port that nobody named", packet);
}

}  // namespace vipgate::fuzz
