#include "engine/state.h"
#include "nat/rewrite.h"

// From bytes to a Transit: checks, reassembly, and the shard that owns the packet.

namespace vipgate {
namespace {

/// Addresses that no host has (RFC 1812 §5.3.7): this network, loopback, multicast, reserved and broadcast.
bool is_martian(Ipv4Address address) {
  const std::uint32_t first_octet = address.value() >> 24;
  return first_octet == 0 || first_octet == 127 || first_octet >= 224;
}

/// As arrive() and gather() mean it.
constexpr Verdict kGoesOn{.action = Action::forward};

bool is_translated(std::uint8_t protocol) {
  const auto number = static_cast<Protocol>(protocol);
  return number == Protocol::tcp || number == Protocol::udp || number == Protocol::icmp;
}

/// A segment or datagram that answers itself for ever (CERT CA-1997-28).
bool is_land(const PacketView& view) {
  if (view.protocol == Protocol::icmp) return false;
  const Tuple tuple = tuple_of(view);
  return tuple.source_endpoint() == tuple.destination_endpoint();
}

}  // namespace

/// Fills `transit` unless the way ends here.
Verdict Engine::State::arrive(Packet& packet, Transit& transit, Time now) {
  const PacketView& view = transit.view;
  const Ipv4View& ip = view.ip;
  if (const Reason reason = transit.view.parse_ip(packet); reason != Reason::none) return drop(reason);
  if (is_martian(ip.source())) return drop(Reason::martian_source);
  if (is_martian(ip.destination())) return drop(Reason::martian_destination);
  // What we send never comes back this way; whoever uses our addresses as a source is lying (LAND among them). But a
  // shared VIP is this host, who may well be a client.
  const AddressRole sender = rules->role_of(ip.source());
  if (sender.is_ours() && !sender.shared) return drop(Reason::own_source);
  if (!is_translated(ip.protocol())) return foreign(ip);
  if (ip.is_fragment()) {
    const Verdict verdict = gather(packet, transit.view.ip, now);
    if (verdict.action != Action::forward) return verdict;
  }

  if (const Reason reason = transit.view.parse_transport(packet); reason != Reason::none) return drop(reason);
  transit.packet = &packet;
  transit.reopens = false;
  transit.quoted.reset();
  transit.protocol = view.protocol;
  transit.tuple = tuple_of(view);
  transit.source = sender;
  if (sender.shared && is_land(view)) return drop(Reason::own_source);
  if (view.protocol == Protocol::icmp && view.icmp.is_error()) {
    const auto quoted = QuotedPacket::parse(view);
    // About a protocol that is not translated, for example: the host may know.
    if (!quoted && is_shared(ip.destination())) return Verdict{.action = Action::pass};
    if (!quoted) return drop(quoted.reason());
    transit.quoted = *quoted;
    transit.protocol = quoted->protocol;
    transit.tuple = quoted->tuple.reversed();
    transit.source = rules->role_of(transit.tuple.source);
  }
  transit.destination = rules->role_of(transit.tuple.destination);
  const bool serves_preserved = rules->serves_preserved(transit.source, transit.tuple.source_port);
  transit.shard = sharding.of_packet(transit.tuple, serves_preserved, transit.destination);
  if (!owns(transit.shard)) return Verdict{.action = Action::hand_off, .shard = transit.shard};
  const FlowTable& flows = flows_of(transit.shard);
  transit.hash = flows.hash_of(transit.protocol, transit.tuple);
  flows.prefetch(transit.hash);
  return kGoesOn;
}

/// Keeps a fragment, or, when it is the last that was missing, makes `packet` and `ip` the whole datagram.
Verdict Engine::State::gather(Packet& packet, Ipv4View& ip, Time now) {
  const std::uint8_t shard = sharding.of_fragment(ip);
  if (!owns(shard)) return Verdict{.action = Action::hand_off, .shard = shard};
  const auto result = shard_at(shard).fragments.add(ip, now);
  if (result.reason != Reason::none) return drop(result.reason, shard);
  if (!result.whole) return Verdict{.action = Action::hold, .shard = shard};
  handed_out_datagrams = true;
  packet = *result.whole;
  ip = *Ipv4View::parse(packet.bytes);
  return kGoesOn;
}

/// A packet of a protocol that is not translated. What the policy rules brought here along with flows of ours goes on
/// unchanged, but not with a private address that egress hides.
Verdict Engine::State::foreign(const Ipv4View& ip) const {
  if (is_shared(ip.destination())) return {.action = Action::pass};
  const bool passes = rules->role_of(ip.source()).preserve_backend && !rules->owns(ip.destination()) &&
                      rules->find_egress(ip.source(), ip.destination()) == nullptr;
  return passes ? Verdict{.action = Action::pass} : drop(Reason::unknown_protocol);
}

}  // namespace vipgate
