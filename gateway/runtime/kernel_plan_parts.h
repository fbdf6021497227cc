#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "config/config.h"
#include "device/kernel.h"
#include "runtime/kernel_plan.h"

// What plan_kernel() is made of; for kernel_plan*.cc, and what kernel_setup*.cc has to know of it.
namespace vipgate {

// Rules of one kind share a priority: their order does not matter, and adding one renumbers none.
inline constexpr std::uint32_t kWrittenBack = 0;  // offsets from Config::Kernel::rule_priority
inline constexpr std::uint32_t kPreserve = 1;     // ahead of the exceptions: replies go to clients of every address
inline constexpr std::uint32_t kEgressException = 2;
inline constexpr std::uint32_t kEgress = 3;
inline constexpr std::uint32_t kErrors = 4;
inline constexpr std::uint32_t kGuard = 5;

// Those of shared VIPs stand ahead of it.
inline constexpr std::uint32_t kSharedLocal = 1;  // distances from Config::Kernel::rule_priority
inline constexpr std::uint32_t kShared = 2;
inline constexpr std::uint32_t kSharedWrittenBack = 3;

inline constexpr const char* kForwarding = "net/ipv4/ip_forward";

/// A rule of ours; `offset` is one of those above.
PolicyRule rule_template(const Config& config, std::uint32_t offset);

struct KernelState;
/// Reads what planning needs. `state`: what this process, or a killed one, noted of its changes; `followed_before`:
/// KernelView::followed when it was read last.
absl::StatusOr<KernelView> read_view(KernelInterface& kernel, const Config& config, const KernelState& state,
                                     const std::map<std::string, Ipv4Address>& followed_before);

inline Ipv4Prefix host_prefix(Ipv4Address address) {
  return {address, 32};
}

using PrefixesByDevice = std::map<std::string, std::vector<Ipv4Prefix>>;

// Routes.

std::vector<Wanted<Route>> plan_routes(const Config& config);
absl::Status check_routes(const Config& config, const KernelView& view, const std::vector<Wanted<Route>>& routes);
/// Whether vipgate added a route, perhaps under an earlier configuration.
bool is_ours(const Route& route, const Config& config, const KernelView& view);
bool is_ours(const PolicyRule& rule, const Config& config, const KernelView& view);

// Announcements.

/// Host routes for routing daemons, and addresses to answer ARP for.
void plan_announcements(const Config& config, const KernelView& view, const Withdrawn& withdrawn, KernelPlan& plan);
/// Whether routing daemons take the host route of an address from a table, while the main table has its subnet's alone.
bool is_routed_by_table(Ipv4Address address, const Config& config);

// Where the private hosts are.

struct Backends {
  PrefixesByDevice all;
  PrefixesByDevice preserve;
  bool any_preserve = false;
};
/// Warns of backends that cannot be reached. `plan` has its routes already.
Backends find_backends(const Config& config, const KernelView& view, KernelPlan& plan);

struct EgressHosts {
  std::vector<std::set<std::string>> devices;  ///< of each entry of Rules::egress
  std::vector<Ipv4Prefix> guarded;             ///< those that the default route does not lead to
  std::set<std::string> open;                  ///< devices of egress hosts and of their exceptions: not guarded
};
EgressHosts find_egress(const Config& config, const KernelView& view, KernelPlan& plan);

// Rules and sysctls.

/// What policy rules bring to the TUN finds a route there. An error where others use the table.
absl::Status plan_table(const Config& config, const KernelView& view, const Backends& backends, KernelPlan& plan);
bool has_shared_vip(const Config& config);
/// KernelView::followed: an interface that loses its address keeps the last one, so that connections outlive a line
/// that comes back with the same.
std::map<std::string, Ipv4Address> read_followed(const Rules& rules, const std::vector<HostAddress>& addresses,
                                                 const std::map<std::string, Ipv4Address>& before);
absl::StatusOr<PortRange> read_local_ports(KernelInterface& kernel);
/// Sends everything to the local table. The kernel has one such rule of its own, at priority 0.
bool is_local_rule(const PolicyRule& rule);
/// Served ports of shared VIPs come through the TUN.
absl::Status plan_shared(const Config& config, const KernelView& view, KernelPlan& plan);
/// What private hosts send comes through the TUN: replies of `preserve` services, and flows of egress.
absl::Status plan_diversions(const Config& config, const Backends& backends, const EgressHosts& egress,
                             KernelPlan& plan);
/// Other interfaces do not reach private hosts directly.
absl::Status plan_guard(const Config& config, const KernelView& view, const Backends& backends,
                        const EgressHosts& egress, KernelPlan& plan);
void plan_sysctls(const Config& config, const KernelView& view, KernelPlan& plan);

}  // namespace vipgate
