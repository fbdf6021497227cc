#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "config/config.h"
#include "device/kernel.h"
#include "runtime/port_set.h"
#include "vipgate/address.h"

namespace vipgate {

/// What was read from the kernel, for planning and comparing.
struct KernelView {
  std::vector<Link> links{};
  std::vector<HostAddress> addresses{};
  std::vector<Route> main_routes{};
  std::vector<Route> table_routes{};  ///< of Config::Kernel::table
  std::vector<PolicyRule> rules{};
  std::vector<std::uint8_t>
      earlier_protocols{};         ///< that vipgate marked its routes with under an earlier configuration
  bool forwarding_before = false;  ///< ip_forward was on before vipgate (or a killed predecessor of it) touched it
  bool reverse_filter = false;     ///< conf.all.rp_filter is not 0
  bool ipv6 = false;               ///< the TUN can have IPv6
  std::map<std::string, Ipv4Address>
      followed{};           ///< by interfaces that VIPs follow: their addresses, or the last they had
  PortRange local_ports{};  ///< that this host's own programs get (ip_local_port_range); read for shared VIPs
};

/// A desired piece of kernel state and the reason for it, which goes into the log.
template <typename T>
struct Wanted {
  T value{};
  std::string why{};

  bool operator==(const Wanted&) const = default;
};

struct Sysctl {
  std::string key;
  std::string value;

  bool operator==(const Sysctl&) const = default;
};

/// What of Config::announcements is not to be announced now. Default: all of it is.
struct Withdrawn {
  bool all = false;              ///< this gateway stands by for another one: masquerade addresses neither
  std::set<Ipv4Address> vips{};  ///< VIPs that nobody serves

  bool operator==(const Withdrawn&) const = default;
  bool holds(const Announcement& announcement) const {
    return all || (announcement.vip && vips.contains(announcement.address));
  }
};

/// The kernel state that a configuration needs on a host.
struct KernelPlan {
  std::string device{};  ///< the TUN
  std::uint32_t mtu = 0;
  std::vector<Wanted<Sysctl>> device_sysctls{};  ///< of the TUN; before it is up
  std::optional<Wanted<HostAddress>> address{};
  std::vector<Wanted<Route>> routes{};
  std::vector<Wanted<PolicyRule>> rules{};
  bool moves_local = false;  ///< the kernel's rule for the local table goes: one of `rules` stands for it
  PortSet reserved_ports{};  ///< that this host's programs must not get, beside those that others have reserved
  std::vector<Wanted<ProxyNeighbour>> proxies{};  ///< on devices that are there; once nobody else has the address
  std::vector<Wanted<Sysctl>> sysctls{};          ///< last, when the guard stands
  std::vector<std::string> warnings{};

  bool operator==(const KernelPlan&) const = default;
};

/// Policy rules at most that bring packets of private hosts to the TUN, or keep them from it (`preserve` and egress):
/// the kernel walks the list for every packet.
inline constexpr std::size_t kMaxDivertingRules = 64;
/// Above kMaxDivertingRules there is a warning, above this an error.
inline constexpr std::size_t kMaxGuardRules = 256;

/// What kernel state `config` needs, given what is there. Makes no system call. Errors name a conflict and its remedy.
absl::StatusOr<KernelPlan> plan_kernel(const Config& config, const KernelView& view, const Withdrawn& withdrawn = {});

/// The fewest prefixes that cover exactly `prefixes` and not one address more. Sorted.
std::vector<Ipv4Prefix> aggregate(std::vector<Ipv4Prefix> prefixes);

/// Fills in what Rules says about this host: its networks and addresses, and the VIPs that follow these.
void read_host(const KernelView& view, const std::string& tun, Rules& rules);

}  // namespace vipgate
