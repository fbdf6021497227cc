#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vipgate/address.h"
#include "vipgate/time.h"

namespace vipgate {

/// Protocol numbers of IANA's registry that the engine translates.
enum class Protocol : std::uint8_t { icmp = 1, tcp = 6, udp = 17 };

/// Ports `first` to `last`, both included.
struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;

  constexpr bool contains(std::uint16_t port) const { return first <= port && port <= last; }
  constexpr auto operator<=>(const PortRange&) const = default;
};
inline constexpr PortRange kAllPorts{1, 65535};

/// Ports of a VIP that are given out by the gateway, where the VIP has use for them: to data connections of helpers,
/// and to flows that private hosts open. Such a VIP has no service there.
inline constexpr PortRange kHelperPorts{32768, 40959};
inline constexpr PortRange kEgressPorts{40960, 65535};
inline constexpr PortRange kAllocatedPorts{kHelperPorts.first, kEgressPorts.last};

/// What a backend sees as the source of a flow.
enum class SourceMode : std::uint8_t {
  masquerade,  ///< one of the gateway's own addresses
  preserve,    ///< the client's address (ipvsadm -m)
};

/// What a client is told that knocks at a port nobody serves.
enum class Unmatched : std::uint8_t {
  reject,  ///< RST, or ICMP port unreachable
  drop,    ///< nothing
};

/// When a VIP answers echo requests.
enum class Ping : std::uint8_t {
  never,
  always,
  healthy,  ///< while the VIP is served
};

/// A reader of a protocol that carries addresses in its payload.
enum class Helper : std::uint8_t {
  none,
  ftp,  ///< RFC 959, RFC 2428
};

/// What a service lets in at most; none: as much as there is room for. Flows count from their first answer on, so that
/// forged requests use up nobody's share.
struct Limits {
  std::optional<std::uint32_t> flows{};
  std::optional<std::uint32_t> flows_per_client{};  ///< of one source address
  std::optional<std::uint32_t> new_per_second{};

  bool operator==(const Limits&) const = default;
};

/// How a new flow's backend is chosen among those that take new flows.
enum class Balance : std::uint8_t {
  maglev,             ///< by the client: the same one for the same client, also at another gateway
  round_robin,        ///< in turn
  least_connections,  ///< the one with the fewest flows for its weight
};

/// What of a client Balance::maglev goes by.
enum class Affinity : std::uint8_t {
  none,    ///< address and port: each flow by itself
  client,  ///< the address: all flows of a client go to one backend
};

/// What becomes of a backend's TCP connections when it goes down. Those that it has not answered yet, and flows of
/// other protocols, move: their next packet opens a flow to another backend.
enum class OnBackendDown : std::uint8_t {
  keep,   ///< they go on
  reset,  ///< they end, with a RST to both sides
};

struct Backend {
  std::string name;
  Ipv4Address address;
  std::optional<std::uint16_t> port;  ///< none: the port that the client asked for
  std::uint32_t weight = 1;           ///< share of new flows; 0: none
  bool backup = false;                ///< takes new flows only while no other backend does
  // Not configured. Either takes it no new flow.
  bool down = false;                                 ///< it does not answer, say health checks
  bool drained = false;                              ///< an operator says so; it keeps the flows it has
  std::optional<std::uint32_t> configured_weight{};  ///< set: `weight` is an operator's, in place of this one

  bool operator==(const Backend&) const = default;
};

struct Service {
  std::string name;
  std::vector<Protocol> protocols;
  std::vector<PortRange> ports;  ///< of the VIP; sorted, disjoint. A wildcard service has kAllPorts alone
  bool wildcard = false;         ///< yields to explicit ports of the same VIP
  SourceMode source = SourceMode::masquerade;
  /// One of Rules::masquerade; none: the one in the backend's own network, else the first.
  std::optional<Ipv4Address> masquerade;
  std::optional<Duration> idle_timeout;            ///< in place of Timeouts::established and ::udp
  std::vector<Ipv4Prefix> allow = {Ipv4Prefix()};  ///< clients that may open flows
  std::vector<Ipv4Prefix> deny{};                  ///< of these, those that may not
  Limits limits{};
  Helper helper = Helper::none;        ///< of TCP flows
  std::optional<std::uint16_t> mss{};  ///< the largest segment size that SYNs may offer, in bytes (RFC 9293 §3.7.1)
  Balance balance = Balance::maglev;
  Affinity affinity = Affinity::none;  ///< `client` goes with Balance::maglev alone
  OnBackendDown on_backend_down = OnBackendDown::keep;
  std::vector<Backend> backends;

  bool operator==(const Service&) const = default;
};

struct Vip {
  Ipv4Address address;       ///< 0.0.0.0: it follows an interface that has none, and nobody can reach it
  std::string interface;     ///< of this host, whose address a shared VIP follows; empty: the address is given
  bool shared = false;       ///< an address of this host, too: what is no service's goes on to the host, ICMP included
  Ping ping = Ping::always;  ///< whether the gateway answers; a shared VIP's host does itself
  Unmatched unmatched = Unmatched::reject;
  std::vector<Service> services;

  bool operator==(const Vip&) const = default;
};

/// "203.0.113.10", or the interface whose address it follows, whatever that is now.
std::string name_of(const Vip& vip);

/// Whether any service of the VIP has a backend that is not down.
bool is_served(const Vip& vip);

/// Private hosts whose own flows leave with a VIP as source.
struct Egress {
  Ipv4Prefix from;
  Ipv4Address as;                  ///< one of the VIPs
  std::vector<Ipv4Prefix> except;  ///< destinations that they reach with their own address

  bool operator==(const Egress&) const = default;
};

/// How long a silent flow is kept, by its state. Defaults: the RFC profile (RFC 5382 REQ-5, RFC 4787 REQ-5, RFC 5508
/// REQ-2).
struct Timeouts {
  Duration syn_sent = std::chrono::seconds(240);
  Duration syn_recv = std::chrono::seconds(240);
  Duration established = std::chrono::seconds(7440);
  Duration fin_wait = std::chrono::seconds(240);
  Duration close_wait = std::chrono::seconds(240);
  Duration last_ack = std::chrono::seconds(240);
  Duration time_wait = std::chrono::seconds(240);
  Duration close = std::chrono::seconds(240);
  Duration picked_up = std::chrono::seconds(300);  ///< joined mid-stream, other side not seen yet
  Duration udp_one_way = std::chrono::seconds(120);
  Duration udp = std::chrono::seconds(300);
  Duration icmp_query = std::chrono::seconds(60);

  bool operator==(const Timeouts&) const = default;

  /// The defaults of Linux's nf_conntrack (Documentation/networking/nf_conntrack-sysctl.rst).
  static Timeouts linux_profile() {
    using std::chrono::seconds;
    Timeouts timeouts;
    timeouts.syn_sent = seconds(120);
    timeouts.syn_recv = seconds(60);
    timeouts.established = seconds(432000);
    timeouts.fin_wait = seconds(120);
    timeouts.close_wait = seconds(60);
    timeouts.last_ack = seconds(30);
    timeouts.time_wait = seconds(120);
    timeouts.close = seconds(10);
    timeouts.udp_one_way = seconds(30);
    timeouts.udp = seconds(120);
    timeouts.icmp_query = seconds(30);
    return timeouts;
  }
};

/// All that decides about packets, checked: whoever fills it has made sure that services do not overlap and addresses
/// are not used twice.
struct Rules {
  std::vector<Vip> vips;
  std::vector<Egress> egress;           ///< the first whose `from` holds a host is the host's
  std::vector<Ipv4Address> masquerade;  ///< every address that Service::masquerade may name
  std::vector<Ipv4Prefix> subnets;      ///< routed to the TUN: their other addresses are ours too, and empty
  /// This host's own networks and addresses. Clients that are this host, or neighbours of the backend, are masqueraded
  /// by `preserve` services too: the backend's replies to them would not come back through the gateway.
  std::vector<Ipv4Prefix> connected;
  std::vector<Ipv4Address> host_addresses;
  Timeouts timeouts;

  bool operator==(const Rules&) const = default;
};

}  // namespace vipgate
