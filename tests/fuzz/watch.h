#pragma once

#include <set>

#include "fuzz/gateway.h"
#include "vipgate/rules.h"

namespace vipgate::fuzz {

/// Looks at everything that goes into a gateway and comes out of it, and knows nothing of flows: nothing may come out
/// that has no reason in what went in.
///   - A packet goes to whom has sent something, to a host that a private host has asked for, or to a backend.
///   - The first packet of a connection or a datagram goes to a port that its host has sent from, that the rules
///     name, or, where a helper reads along, that its host may have announced: no lower one than 1024.
///   - No private address is shown to the public, but in packets that pass unchanged.
///   - Nobody else may use our addresses as source.
///   - An ICMP error goes to whom the packet that it quotes came from.
class Watch {
 public:
  /// From now on these are backends too: flows of rules that are gone may go on.
  void configure(const Rules& rules);

  void went_in(const Datagram& packet);
  /// What was decided about a packet that went in.
  void was_decided(const Datagram& packet, const Verdict& verdict) const;
  void came_out(const Datagram& packet, Action action) const;

 private:
  void require_open(const Datagram& packet, const Endpoint& target) const;

  std::set<Ipv4Address> own_;    ///< by the present rules, those that nobody else has
  std::set<Ipv4Address> hosts_;  ///< likewise, those of the host, too
  std::set<Ipv4Address> ours_;   ///< by any
  std::set<Ipv4Address> known_;  ///< have sent something, or were asked for by a private host
  std::set<Endpoint> used_;      ///< likewise, with ports
  std::set<Endpoint> served_;    ///< of backends; port 0: all
  std::set<Ipv4Address> backends_;
  bool has_helper_ = false;
};

}  // namespace vipgate::fuzz
