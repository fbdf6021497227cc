#include <algorithm>

#include "absl/strings/str_cat.h"
#include "runtime/kernel_plan_parts.h"
#include "runtime/kernel_setup.h"

// How KernelSetup gives the kernel back as it was.
namespace vipgate {

void KernelSetup::restore() {
  if (!file_) return;
  take_back();
  config_.reset();
  plan_ = KernelPlan();
  answered_.clear();
  announcer_.want({});
  file_.reset();
  lock_.reset();
}

absl::Status KernelSetup::clean_up(const Config& config) {
  if (absl::Status status = begin(config, TunOrigin::found); !status.ok()) return status;
  restore();
  return absl::OkStatus();
}

void KernelSetup::take_back() {
  // Forwarding first: no packet passes between the end of the guard and the end of forwarding.
  bool clean = restore_sysctls(false);
  clean &= restore_proxies();
  clean &= restore_routes();
  clean &= restore_rules();
  clean &= restore_reserved_ports();
  clean &= restore_device();
  clean &= restore_sysctls(
      true);  // when it is down again: IPv6 that is allowed again on a device that is up makes up addresses at once
  if (clean) file_->remove();
}

bool KernelSetup::logged(const absl::Status& status, const std::string& line) {
  log_(status.ok() ? line : absl::StrCat(status.message(), " — it stays for the next start to remove"));
  return status.ok();
}

bool KernelSetup::restore_sysctls(bool of_device) {
  bool clean = true;
  bool forwarding_restored = false;
  for (const auto& [key, before, set] : state_.values) {
    const bool by_kernel = set.empty();
    if (is_of_device(key) != of_device || (by_kernel && !forwarding_restored)) continue;
    const absl::StatusOr<std::string> now = kernel_.read_sysctl(key);
    if (absl::IsNotFound(now.status())) continue;  // went with its device
    if (now.ok() && *now == before) continue;
    if (now.ok() && !by_kernel && *now != set) {
      log_(absl::StrCat("sysctl ", key, " left at ", *now, " — somebody else has set it meanwhile"));
      continue;
    }
    const absl::Status status = now.ok() ? kernel_.write_sysctl(key, before) : now.status();
    clean &= logged(status, absl::StrCat("sysctl ", key, " set back to ", before, " — as it was before"));
    if (key == kForwarding) forwarding_restored = status.ok();
  }
  return clean;
}

bool KernelSetup::restore_routes() {
  const absl::StatusOr<std::vector<Route>> routes = own_routes();
  if (!routes.ok()) return logged(routes.status(), "");
  bool clean = true;
  for (const Route& route : *routes) {
    clean &= logged(unless_gone(kernel_.remove_route(route)),
                    absl::StrCat("route ", route.to_string(), " removed — vipgate ends"));
  }
  return clean;
}

bool KernelSetup::restore_rules() {
  const absl::StatusOr<std::vector<PolicyRule>> rules = own_rules();
  if (!rules.ok()) return logged(rules.status(), "");
  if (!restore_local_rule()) return false;  // those that stand for it stay
  bool clean = true;
  for (const PolicyRule& rule : *rules) {
    clean &= logged(unless_gone(kernel_.remove_rule(rule)),
                    absl::StrCat("rule ", rule.to_string(), " removed — vipgate ends"));
  }
  return clean;
}

bool KernelSetup::restore_device() {
  if (state_.device.empty()) return true;
  const absl::StatusOr<std::vector<Link>> links = kernel_.links();
  if (!links.ok()) return logged(links.status(), "");
  const bool replaced = std::any_of(links->begin(), links->end(), [this](const Link& link) {
    return link.name == state_.device && device_index_ != 0 && link.index != device_index_;
  });
  if (replaced) {
    log_(absl::StrCat("device ", state_.device, " left alone — somebody else has made it meanwhile"));
    return true;
  }
  if (state_.created) {
    return logged(unless_gone(kernel_.delete_link(state_.device)),
                  absl::StrCat("device ", state_.device, " deleted — vipgate ends"));
  }
  bool clean = true;
  if (plan_.address) {
    clean &= logged(unless_gone(kernel_.remove_address(plan_.address->value)),
                    absl::StrCat("address ", plan_.address->value.to_string(), " removed — vipgate ends"));
  }
  if (state_.link != LinkChange()) {
    clean &= logged(unless_gone(kernel_.change_link(state_.device, state_.link)),
                    absl::StrCat("device ", state_.device, " set ", state_.link.to_string(), " — as it was before"));
  }
  return clean;
}

}  // namespace vipgate
