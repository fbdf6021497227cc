#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "runtime/doctor/facts.h"
#include "runtime/doctor/firewall_walk.h"

namespace vipgate::doctor {

/// Which packets they are.
enum class LegKind : std::uint8_t {
  from_clients,   ///< to a VIP; forwarded to the TUN
  to_backends,    ///< from the TUN
  from_backends,  ///< replies, to the TUN
  to_clients,     ///< replies, from the TUN
  from_egress,    ///< of private hosts' own flows, to the TUN
  as_egress,      ///< the same, from the TUN
  checks,         ///< of this host, to backends
  check_answers,
};

/// Packets that have to get through this host.
struct Leg {
  LegKind kind{};
  std::string what{};  ///< "to the VIP 203.0.113.10:80"
  Sample sample{};

  bool is_forwarded() const { return kind < LegKind::checks; }
  bool is_reply() const;
  /// What is known of the packets at a hook.
  Sample at(const std::string& hook) const;
};

/// What the configuration needs, as connection tracking sees it on this host; of many services and backends the first
/// ones.
std::vector<Leg> legs_of(const Config& config, const Facts& facts);

}  // namespace vipgate::doctor
