#include "runtime/kernel_setup.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/kernel_plan_parts.h"

namespace vipgate {
namespace {

constexpr int kFullCheckEvery = 30;  // calls of check(), even when the kernel reported no change

std::string conf_key(const std::string& device, const char* name) {
  return absl::StrCat("net/ipv4/conf/", device, "/", name);
}

template <typename T>
bool has(const std::vector<Wanted<T>>& wanted, const T& value) {
  return std::any_of(wanted.begin(), wanted.end(), [&](const Wanted<T>& other) { return other.value == value; });
}

template <typename T>
bool has(const std::vector<T>& values, const T& value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

/// What was wanted before as well and is missing now was taken away by somebody.
template <typename T>
std::string added(const std::string& what, const std::vector<Wanted<T>>& before, const Wanted<T>& wanted) {
  if (has(before, wanted.value)) return absl::StrCat(what, " put back — somebody had removed it (", wanted.why, ")");
  return absl::StrCat(what, " added — ", wanted.why);
}

}  // namespace

void KernelSetup::take_over(Locks locks) {
  guest_ = true;
  lock_ = std::move(locks.protocol);
  locked_protocol_ = locks.protocol_number;
  folder_lock_ = std::move(locks.folder);
}

KernelSetup::Locks KernelSetup::copy_locks() const {
  const auto copy = [](const UniqueFd& fd) { return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)); };
  return {.protocol = copy(lock_), .protocol_number = locked_protocol_, .folder = copy(file_->lock())};
}

void KernelSetup::resume() {
  if (std::optional<KernelState> noted = file_->load(); noted && noted->identity == state_.identity) {
    state_ = *std::move(noted);
  }
  look_again_ = true;
}

absl::Status KernelSetup::apply(const Config& config, TunOrigin origin) {
  const bool first = !config_;
  if (first) {
    if (absl::Status status = begin(config, origin); !status.ok()) {
      if (origin == TunOrigin::created) (void)kernel_.delete_link(config.tun.name);
      return status;
    }
  }
  Lines lines;
  absl::Status status = take_lock(config.kernel.protocol);
  if (status.ok()) status = update(config, first ? "left by an earlier run" : "no longer needed", lines);
  if (status.ok()) status = first ? await_arp(lines) : answer_arp(lines);
  for (const std::string& line : lines) log_(line);
  if (status.ok()) {
    config_ = config;
    return status;
  }
  if (first) {
    if (!guest_) restore();
    return status;
  }
  Lines undone;
  if (absl::Status undo = update(*config_, "undone: the new configuration failed", undone); !undo.ok()) {
    undone.push_back(absl::StrCat("the previous kernel state could not be restored — ", undo.message()));
  }
  for (const std::string& line : undone) log_(line);
  return status;
}

absl::Status KernelSetup::take_lock(std::uint8_t protocol) {
  if (lock_ && locked_protocol_ == protocol) return absl::OkStatus();
  absl::StatusOr<UniqueFd> lock = kernel_.lock(absl::StrCat("protocol/", protocol));
  if (absl::IsAlreadyExists(lock.status())) {
    return absl::AlreadyExistsError(
        absl::StrCat("another gateway in this network namespace marks its routes with kernel.protocol ", protocol, " (",
                     lock.status().message(),
                     "): they would remove each other's. Give each its own kernel.protocol and kernel.table"));
  }
  if (!lock.ok()) return lock.status();
  lock_ = *std::move(lock);
  locked_protocol_ = protocol;
  return absl::OkStatus();
}

absl::Status KernelSetup::begin(const Config& config, TunOrigin origin) {
  // Before anything is touched: a failed start must not take down a gateway that runs.
  if (absl::Status status = take_lock(config.kernel.protocol); !status.ok()) return status;
  absl::StatusOr<std::string> identity = kernel_.identity();
  if (!identity.ok()) return identity.status();
  if (folder_lock_) {
    file_ = KernelStateFile::take_over(config.flows.state_dir, std::move(folder_lock_));
  } else {
    absl::StatusOr<KernelStateFile> file = KernelStateFile::open(config.flows.state_dir);
    if (!file.ok()) return file.status();
    file_ = *std::move(file);
  }
  state_ = KernelState();
  device_index_ = 0;
  if (std::optional<KernelState> found = file_->load(); found && found->identity == *identity) {
    state_ = *std::move(found);
    if (state_.device != config.tun.name) {  // it ran with another configuration
      log_(absl::StrCat("taking back what an earlier run left — it used ", state_.device));
      take_back();
      state_ = KernelState();
    }
  }
  state_.identity = *identity;
  state_.device = config.tun.name;
  if (origin == TunOrigin::created) {
    state_.created = true;
    state_.link = LinkChange();
  }
  return absl::OkStatus();
}

absl::Status KernelSetup::check_device(const KernelView& view) {
  for (const Link& link : view.links) {
    if (link.name != state_.device) continue;
    if (device_index_ != 0 && device_index_ != link.index) break;  // deleted, and made anew by somebody else
    device_index_ = link.index;
    if (!state_.created && !state_.link.mtu) state_.link = {.up = link.up, .mtu = link.mtu, .queue_length = {}};
    return absl::OkStatus();
  }
  return absl::NotFoundError(
      absl::StrCat(state_.device, " is gone: somebody deleted it or moved it to another namespace"));
}

absl::Status KernelSetup::update(const Config& config, const std::string& removed_why, Lines& lines) {
  const KernelState::Tag tag{config.kernel.protocol, config.kernel.table};
  if (!has(state_.tags, tag)) state_.tags.push_back(tag);
  std::vector<std::uint32_t> tables;
  for (const Announcement& announcement : config.announcements) {
    if (announcement.route_table && !has(tables, *announcement.route_table))
      tables.push_back(*announcement.route_table);
  }
  for (const std::uint32_t table : tables) {
    if (!has(state_.announced_tables, table)) state_.announced_tables.push_back(table);
  }
  absl::StatusOr<KernelView> view = read_view(kernel_, config, state_, view_.followed);
  if (!view.ok()) return view.status();
  if (absl::Status status = check_device(*view); !status.ok()) return status;
  Config here = config;
  read_host(*view, config.tun.name, here.rules);
  absl::StatusOr<KernelPlan> plan = plan_kernel(here, *view, withdrawn_);
  if (!plan.ok()) return plan.status();
  view_ = *std::move(view);

  if (absl::Status status = file_->save(state_); !status.ok()) return status;
  for (const std::string& warning : plan->warnings) {
    if (!has(plan_.warnings, warning)) lines.push_back(absl::StrCat("warning: ", warning));
  }
  if (absl::Status status = reconcile(*plan, removed_why, lines); !status.ok()) return status;
  plan_ = *std::move(plan);
  if (state_.tags.size() == 1 && state_.announced_tables == tables) return absl::OkStatus();
  state_.tags = {tag};  // nothing is left of the others
  state_.announced_tables = tables;
  return file_->save(state_);
}

absl::Status KernelSetup::reconcile(const KernelPlan& plan, const std::string& removed_why, Lines& lines) {
  if (absl::Status status = reconcile_sysctls(plan.device_sysctls, lines); !status.ok()) return status;
  if (absl::Status status = reconcile_device(plan, lines); !status.ok()) return status;
  if (absl::Status status = reconcile_routes(plan, removed_why, lines); !status.ok()) return status;
  if (absl::Status status = reconcile_reserved_ports(plan.reserved_ports, lines); !status.ok()) return status;
  if (absl::Status status = reconcile_rules(plan, removed_why, lines); !status.ok()) return status;
  if (absl::Status status = reconcile_sysctls(plan.sysctls, lines); !status.ok()) return status;
  return reconcile_proxies(plan, removed_why, lines);
}

absl::Status KernelSetup::reconcile_device(const KernelPlan& plan, Lines& lines) {
  for (const Link& link : view_.links) {
    if (link.name != plan.device) continue;
    LinkChange change;
    if (link.mtu != plan.mtu) change.mtu = plan.mtu;
    if (!link.up) change.up = true;
    if (change == LinkChange()) break;
    if (absl::Status status = kernel_.change_link(plan.device, change); !status.ok()) return status;
    lines.push_back(absl::StrCat("device ", plan.device, " set ", change.to_string(), " — it owns the VIPs"));
  }
  // Not taken away again before the end: the routes of a device go with its last address.
  if (!plan.address || has(view_.addresses, plan.address->value)) return absl::OkStatus();
  if (absl::Status status = kernel_.add_address(plan.address->value); !status.ok()) return status;
  view_.addresses.push_back(plan.address->value);  // the engine has to know it as this host's from the first packet on
  const std::vector<Wanted<HostAddress>> before =
      plan_.address ? std::vector<Wanted<HostAddress>>{*plan_.address} : std::vector<Wanted<HostAddress>>{};
  lines.push_back(added(absl::StrCat("address ", plan.address->value.to_string()), before, *plan.address));
  return absl::OkStatus();
}

absl::Status KernelSetup::reconcile_routes(const KernelPlan& plan, const std::string& removed_why, Lines& lines) {
  // Read again: a device that comes up changes routes.
  absl::StatusOr<std::vector<Route>> routes = own_routes();
  if (!routes.ok()) return routes.status();
  // First, since what is stale may stand in the way.
  for (const Route& route : *routes) {
    if (has(plan.routes, route)) continue;
    if (absl::Status status = unless_gone(kernel_.remove_route(route)); !status.ok()) return status;
    lines.push_back(absl::StrCat("route ", route.to_string(), " removed — ", removed_why));
  }
  for (const Wanted<Route>& wanted : plan.routes) {
    if (has(*routes, wanted.value)) continue;
    if (absl::Status status = kernel_.add_route(wanted.value); !status.ok()) return status;
    lines.push_back(added(absl::StrCat("route ", wanted.value.to_string()), plan_.routes, wanted));
  }
  return absl::OkStatus();
}

absl::Status KernelSetup::reconcile_rules(const KernelPlan& plan, const std::string& removed_why, Lines& lines) {
  absl::StatusOr<std::vector<PolicyRule>> rules = own_rules();
  if (!rules.ok()) return rules.status();
  for (const Wanted<PolicyRule>& wanted : plan.rules) {
    if (has(*rules, wanted.value)) continue;
    if (absl::Status status = kernel_.add_rule(wanted.value); !status.ok()) return status;
    lines.push_back(added(absl::StrCat("rule ", wanted.value.to_string()), plan_.rules, wanted));
  }
  // Ahead of the removals: at every moment some rule leads to the local table.
  if (absl::Status status = reconcile_local_rule(plan.moves_local, lines); !status.ok()) return status;
  for (const PolicyRule& rule : *rules) {
    if (has(plan.rules, rule)) continue;
    if (absl::Status status = unless_gone(kernel_.remove_rule(rule)); !status.ok()) return status;
    lines.push_back(absl::StrCat("rule ", rule.to_string(), " removed — ", removed_why));
  }
  return absl::OkStatus();
}

absl::Status KernelSetup::reconcile_sysctls(const std::vector<Wanted<Sysctl>>& wanted, Lines& lines) {
  for (const auto& [sysctl, why] : wanted) {
    const absl::StatusOr<std::string> now = kernel_.read_sysctl(sysctl.key);
    if (!now.ok()) return now.status();
    if (*now == sysctl.value) continue;
    if (absl::Status status = note(sysctl, *now); !status.ok()) return status;
    if (absl::Status status = kernel_.write_sysctl(sysctl.key, sysctl.value); !status.ok()) return status;
    lines.push_back(absl::StrCat("sysctl ", sysctl.key, " set to ", sysctl.value, ", was ", *now, " — ", why));
  }
  return absl::OkStatus();
}

bool KernelSetup::is_of_device(const std::string& key) const {
  return key.find(absl::StrCat("/conf/", state_.device, "/")) != std::string::npos;
}

/// Writes down what a sysctl was, once.
absl::Status KernelSetup::note(const Sysctl& wanted, const std::string& before) {
  const auto noted = [&](const KernelState::Value& value) { return value.key == wanted.key; };
  if (std::any_of(state_.values.begin(), state_.values.end(), noted)) return absl::OkStatus();
  if (is_of_device(wanted.key) && state_.created) return absl::OkStatus();  // goes with the device
  state_.values.push_back({wanted.key, before, wanted.value});
  if (wanted.key == kForwarding) {
    // Setting it makes the kernel set these too (inet_forward_change() of net/ipv4/devinet.c).
    std::vector<std::string> others{conf_key("all", "accept_redirects"), conf_key("default", "forwarding")};
    for (const Link& link : view_.links) {
      if (link.name != state_.device) others.push_back(conf_key(link.name, "forwarding"));
    }
    for (const std::string& key : others) {
      const absl::StatusOr<std::string> now = kernel_.read_sysctl(key);
      if (now.ok()) {
        state_.values.push_back({key, *now, ""});
      } else if (!absl::IsNotFound(now.status())) {
        return now.status();
      }
    }
  }
  return file_->save(state_);
}

absl::StatusOr<std::vector<std::string>> KernelSetup::check() {
  if (!config_) return absl::FailedPreconditionError("nothing was applied yet");
  const bool look = kernel_.changed() || look_again_ || ++checks_ % kFullCheckEvery == 0;
  look_again_ = true;
  Lines lines;
  absl::Status status;
  if (look) {
    status = update(*config_, "interfaces or routes changed", lines);
  } else {
    status = reconcile_sysctls(plan_.device_sysctls, lines);
    if (status.ok()) status = reconcile_sysctls(plan_.sysctls, lines);
  }
  if (status.ok()) status = answer_arp(lines);
  if (absl::IsNotFound(status)) {  // the TUN, or something else that went away meanwhile
    const absl::StatusOr<std::vector<Link>> links = kernel_.links();
    KernelView fresh;
    if (links.ok()) fresh.links = *links;
    const absl::Status device = links.ok() ? check_device(fresh) : links.status();
    status = device.ok() ? absl::UnavailableError(status.message()) : device;
  }
  for (const std::string& line : lines) {
    if (!status.ok()) log_(line);  // done all the same
  }
  if (!status.ok()) return status;
  look_again_ = false;
  return lines;
}

absl::Status KernelSetup::device_came_anew(TunOrigin origin) {
  if (!config_) return absl::FailedPreconditionError("nothing was applied yet");
  device_index_ = 0;  // it has another one now
  state_.created = origin == TunOrigin::created;
  state_.link = LinkChange();
  Lines lines;
  const absl::Status status = update(*config_, "interfaces or routes changed", lines);
  for (const std::string& line : lines) log_(line);
  return status;
}

absl::StatusOr<std::vector<Route>> KernelSetup::own_routes() {
  std::vector<std::uint32_t> tables{kMainTable};
  for (const KernelState::Tag& tag : state_.tags) {
    if (!has(tables, tag.table)) tables.push_back(tag.table);
  }
  for (const std::uint32_t table : state_.announced_tables) {
    if (!has(tables, table)) tables.push_back(table);
  }
  std::vector<Route> own;
  for (const std::uint32_t table : tables) {
    const absl::StatusOr<std::vector<Route>> routes = kernel_.routes(table);
    if (!routes.ok()) return routes.status();
    std::copy_if(routes->begin(), routes->end(), std::back_inserter(own), [&](const Route& route) {
      return std::any_of(state_.tags.begin(), state_.tags.end(), [&](const KernelState::Tag& tag) {
        return route.protocol == tag.protocol && (route.device == state_.device || route.table == tag.table);
      });
    });
  }
  return own;
}

absl::StatusOr<std::vector<PolicyRule>> KernelSetup::own_rules() {
  const absl::StatusOr<std::vector<PolicyRule>> rules = kernel_.rules();
  if (!rules.ok()) return rules.status();
  std::vector<PolicyRule> own;
  std::copy_if(rules->begin(), rules->end(), std::back_inserter(own), [&](const PolicyRule& rule) {
    return !rule.more && std::any_of(state_.tags.begin(), state_.tags.end(),
                                     [&](const KernelState::Tag& tag) { return rule.protocol == tag.protocol; });
  });
  return own;
}

}  // namespace vipgate
