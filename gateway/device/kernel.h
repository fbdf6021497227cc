#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "device/arp.h"
#include "device/unique_fd.h"
#include "vipgate/address.h"

namespace vipgate {

/// A network device.
struct Link {
  int index = 0;
  std::string name{};
  std::string kind{};        ///< "tun" (also of a TAP), "veth", "bridge" ...; empty for real cards
  bool tun = false;          ///< a TUN
  bool multi_queue = false;  ///< a TUN or TAP that several may open
  bool up = false;
  bool loopback = false;
  bool carrier = false;  ///< something is at the other end
  std::uint32_t mtu = 0;
  std::uint32_t queue_length = 0;  ///< packets; txqueuelen of ip(8)
  std::string master{};            ///< the bridge, bond or VRF that it belongs to

  bool operator==(const Link&) const = default;
  std::string to_string() const;
};

/// What to change about a link; what is not set stays.
struct LinkChange {
  std::optional<bool> up{};
  std::optional<std::uint32_t> mtu{};
  std::optional<std::uint32_t> queue_length{};

  bool operator==(const LinkChange&) const = default;
  std::string to_string() const;
};

enum class AddressScope : std::uint8_t { global = 0, link = 253, host = 254 };  // RT_SCOPE_*

/// An IPv4 address of this host.
struct HostAddress {
  std::string device{};
  Ipv4Address address{};
  Ipv4Prefix network{};  ///< what is on the wire: the address under its mask, or the other end of a point-to-point link
  AddressScope scope = AddressScope::global;

  bool operator==(const HostAddress&) const = default;
  std::string to_string() const;
};

inline constexpr std::uint32_t kMainTable = 254;   // RT_TABLE_MAIN
inline constexpr std::uint32_t kLocalTable = 255;  // RT_TABLE_LOCAL

enum class RouteType : std::uint8_t { unicast = 1, local = 2, blackhole = 6, unreachable = 7, prohibit = 8 };  // RTN_*

/// A route. One with several next hops is listed once for each of them.
struct Route {
  Ipv4Prefix destination{};
  std::string device{};
  std::optional<Ipv4Address> gateway{};
  std::uint32_t table = kMainTable;
  std::uint8_t protocol = 0;  ///< who added it (RTPROT_*)
  RouteType type = RouteType::unicast;
  AddressScope scope = AddressScope::link;
  std::uint32_t metric = 0;

  bool operator==(const Route&) const = default;
  std::string to_string() const;
};

enum class RuleAction : std::uint8_t { lookup = 1, prohibit = 8 };  // FR_ACT_*; others are listed with their number

/// A policy rule.
struct PolicyRule {
  std::uint32_t priority = 0;
  std::string incoming{};  ///< device; empty: any
  Ipv4Prefix from{};       ///< /0: any
  Ipv4Prefix to{};
  std::uint8_t ip_protocol = 0;  ///< 0: any
  std::uint16_t first_port = 0;  ///< destination port, or ICMP type << 8 | code; 0: any
  std::uint16_t last_port = 0;
  RuleAction action = RuleAction::lookup;
  std::uint32_t table = 0;    ///< of `lookup`
  std::uint8_t protocol = 0;  ///< who added it (FRA_PROTOCOL)
  bool more = false;          ///< has conditions that are not named here (mark, outgoing device ...); only in lists

  bool operator==(const PolicyRule&) const = default;
  std::string to_string() const;
};

/// An address that the kernel answers ARP for on a device, although it is not this host's: it forwards its packets.
struct ProxyNeighbour {
  std::string device{};
  Ipv4Address address{};
  std::uint8_t protocol = 0;  ///< who added it (NDA_PROTOCOL)

  auto operator<=>(const ProxyNeighbour&) const = default;
  std::string to_string() const;
};

/// All that vipgate asks of the kernel's network configuration. A seam: tests put a fake in its place and let every
/// call fail. Errors are ready to be shown, and have these codes: NotFound and AlreadyExists for what is not, or
/// already, there; PermissionDenied.
class KernelInterface {
 public:
  virtual ~KernelInterface() = default;

  virtual absl::StatusOr<std::vector<Link>> links() = 0;
  virtual absl::StatusOr<std::vector<HostAddress>> addresses() = 0;
  virtual absl::StatusOr<std::vector<Route>> routes(std::uint32_t table) = 0;
  virtual absl::StatusOr<std::vector<PolicyRule>> rules() = 0;
  virtual absl::StatusOr<std::vector<ProxyNeighbour>> proxies() = 0;

  virtual absl::Status add_route(const Route& route) = 0;
  virtual absl::Status remove_route(const Route& route) = 0;
  virtual absl::Status add_rule(const PolicyRule& rule) = 0;
  virtual absl::Status remove_rule(const PolicyRule& rule) = 0;
  virtual absl::Status add_proxy(const ProxyNeighbour& proxy) = 0;  ///< one that is there becomes `proxy.protocol`'s
  virtual absl::Status remove_proxy(const ProxyNeighbour& proxy) = 0;
  virtual absl::Status add_address(const HostAddress& address) = 0;
  virtual absl::Status remove_address(const HostAddress& address) = 0;
  virtual absl::Status change_link(const std::string& device, const LinkChange& change) = 0;
  virtual absl::Status delete_link(const std::string& device) = 0;

  /// `key` as in sysctl(8) with slashes ("net/ipv4/conf/eth0.100/rp_filter"): device names may have dots.
  virtual absl::StatusOr<std::string> read_sysctl(const std::string& key) = 0;
  virtual absl::Status write_sysctl(const std::string& key, const std::string& value) = 0;

  virtual ArpInterface& arp() = 0;

  /// Whether links, addresses, routes or rules may have changed since the last call. The first call says yes.
  virtual bool changed() = 0;

  /// Names this network namespace of this boot: nothing that was noted under another name still holds.
  virtual absl::StatusOr<std::string> identity() = 0;

  /// See take_namespace_lock().
  virtual absl::StatusOr<UniqueFd> lock(const std::string& name) = 0;
};

/// What is to be removed and is not there is no error.
inline absl::Status unless_gone(const absl::Status& status) {
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

}  // namespace vipgate
