#include <algorithm>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "runtime/kernel_plan_parts.h"
#include "runtime/kernel_setup.h"

// What KernelSetup does for shared VIPs beyond rules of its own: the kernel's rule for the local table makes way, and
// the host's own programs get no port that is served.
namespace vipgate {
namespace {

constexpr const char* kLocalPorts = "net/ipv4/ip_local_port_range";
constexpr const char* kReservedPorts = "net/ipv4/ip_local_reserved_ports";

PolicyRule kernels_local_rule(std::uint8_t protocol) {
  return {.priority = 0, .table = kLocalTable, .protocol = protocol};
}

absl::StatusOr<PortSet> read_reserved_ports(KernelInterface& kernel) {
  const absl::StatusOr<std::string> text = kernel.read_sysctl(kReservedPorts);
  if (!text.ok()) return text.status();
  const std::optional<PortSet> ports = PortSet::parse(*text);
  if (!ports) return absl::InternalError(absl::StrCat("sysctl ", kReservedPorts, " is no list of ports: ", *text));
  return *ports;
}

}  // namespace

absl::StatusOr<PortRange> read_local_ports(KernelInterface& kernel) {
  const absl::StatusOr<std::string> text = kernel.read_sysctl(kLocalPorts);
  if (!text.ok()) return text.status();
  PortRange range;
  std::istringstream words(*text);
  if (!(words >> range.first >> range.last)) {
    return absl::InternalError(absl::StrCat("sysctl ", kLocalPorts, " is no range of ports: ", *text));
  }
  return range;
}

/// Called when a rule of ours for the local table stands, and before it goes.
absl::Status KernelSetup::reconcile_local_rule(bool moved, Lines& lines) {
  if (!moved && !state_.local_rule) return absl::OkStatus();
  const absl::StatusOr<std::vector<PolicyRule>> rules = kernel_.rules();
  if (!rules.ok()) return rules.status();
  const auto at_zero = std::find_if(rules->begin(), rules->end(),
                                    [](const PolicyRule& rule) { return rule.priority == 0 && is_local_rule(rule); });
  if (moved && at_zero != rules->end()) {
    const bool again = state_.local_rule.has_value();
    if (!again) {
      state_.local_rule = at_zero->protocol;
      if (absl::Status status = file_->save(state_); !status.ok()) return status;
    }
    if (absl::Status status = unless_gone(kernel_.remove_rule(*at_zero)); !status.ok()) return status;
    lines.push_back(absl::StrCat("rule ", at_zero->to_string(), again ? " removed again" : " moved",
                                 " — rules of shared VIPs go ahead of the local table"));
  }
  if (moved) return absl::OkStatus();
  if (at_zero == rules->end()) {
    const PolicyRule rule = kernels_local_rule(*state_.local_rule);
    if (absl::Status status = kernel_.add_rule(rule); !status.ok()) return status;
    lines.push_back(absl::StrCat("rule ", rule.to_string(), " put back — as it was before"));
  }
  state_.local_rule.reset();
  return file_->save(state_);
}

/// Others may reserve ports, too, at any time: theirs stay theirs.
absl::Status KernelSetup::reconcile_reserved_ports(const PortSet& wanted, Lines& lines) {
  if (wanted.empty() && state_.reserved_ports.empty()) return absl::OkStatus();
  const absl::StatusOr<PortSet> now = read_reserved_ports(kernel_);
  if (!now.ok()) return now.status();
  const PortSet others = *now - state_.reserved_ports;
  const PortSet ours = wanted - others;
  const PortSet all = others | ours;
  if (all != *now) {
    state_.reserved_ports = state_.reserved_ports | ours;
    if (absl::Status status = file_->save(state_); !status.ok()) return status;
    if (absl::Status status = kernel_.write_sysctl(kReservedPorts, all.to_text()); !status.ok()) return status;
    lines.push_back(absl::StrCat("sysctl ", kReservedPorts, " set to \"", all.to_text(), "\", was \"", now->to_text(),
                                 ours.empty() ? "\" — shared VIPs serve none of these ports any more"
                                              : "\" — this host's programs get no port that a shared VIP serves"));
  }
  if (state_.reserved_ports == ours) return absl::OkStatus();
  state_.reserved_ports = ours;
  return file_->save(state_);
}

bool KernelSetup::restore_local_rule() {
  Lines lines;
  const absl::Status status = reconcile_local_rule(false, lines);
  for (const std::string& line : lines) log_(line);
  return status.ok() || logged(status, "");
}

bool KernelSetup::restore_reserved_ports() {
  Lines lines;
  const absl::Status status = reconcile_reserved_ports({}, lines);
  for (const std::string& line : lines) log_(line);
  return status.ok() || logged(status, "");
}

}  // namespace vipgate
