#include <algorithm>
#include <chrono>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "runtime/kernel_setup.h"

// What KernelSetup does for Config::announcements beyond routes.
namespace vipgate {
namespace {

constexpr Duration kLongestWait = std::chrono::milliseconds(50);  // for ARP answers, at the start

bool is_same(const ProxyNeighbour& a, const ProxyNeighbour& b) {
  return a.device == b.device && a.address == b.address;
}

}  // namespace

absl::Status KernelSetup::withdraw(const Withdrawn& withdrawn) {
  if (withdrawn == withdrawn_) return absl::OkStatus();
  withdrawn_ = withdrawn;
  if (!config_) return absl::OkStatus();
  look_again_ = true;
  Lines lines;
  absl::Status status = update(*config_, withdrawn.all ? "this gateway stands by" : "nobody serves it", lines);
  if (status.ok()) status = answer_arp(lines);
  for (const std::string& line : lines) log_(line);
  if (status.ok()) look_again_ = false;
  return status;
}

absl::StatusOr<std::vector<ProxyNeighbour>> KernelSetup::own_proxies() {
  const absl::StatusOr<std::vector<ProxyNeighbour>> proxies = kernel_.proxies();
  if (!proxies.ok()) return proxies.status();
  std::vector<ProxyNeighbour> own;
  std::copy_if(proxies->begin(), proxies->end(), std::back_inserter(own), [&](const ProxyNeighbour& proxy) {
    return std::any_of(state_.tags.begin(), state_.tags.end(),
                       [&](const KernelState::Tag& tag) { return proxy.protocol == tag.protocol; });
  });
  return own;
}

/// Removes what is not wanted, and tells the announcer what is; answer_arp() adds it.
absl::Status KernelSetup::reconcile_proxies(const KernelPlan& plan, const std::string& removed_why, Lines& lines) {
  const absl::StatusOr<std::vector<ProxyNeighbour>> own = own_proxies();
  if (!own.ok()) return own.status();
  for (const ProxyNeighbour& proxy : *own) {
    if (std::any_of(plan.proxies.begin(), plan.proxies.end(),
                    [&](const Wanted<ProxyNeighbour>& wanted) { return wanted.value == proxy; })) {
      continue;
    }
    if (absl::Status status = unless_gone(kernel_.remove_proxy(proxy)); !status.ok()) return status;
    answered_.erase(proxy);
    lines.push_back(absl::StrCat("ARP ", proxy.to_string(), " no longer answered — ", removed_why));
  }
  std::vector<ArpAnnouncer::Wanted> wanted;
  for (const auto& [proxy, why] : plan.proxies) {
    const auto link = std::find_if(view_.links.begin(), view_.links.end(),
                                   [device = proxy.device](const Link& other) { return other.name == device; });
    if (link == view_.links.end() || !link->up || !link->carrier) {
      answered_.erase(proxy);  // the kernel forgets it when the device goes down
      continue;
    }
    ArpAnnouncer::Wanted one{.device = proxy.device, .index = link->index, .address = proxy.address};
    const auto address =
        std::find_if(view_.addresses.begin(), view_.addresses.end(),
                     [device = proxy.device](const HostAddress& host) { return host.device == device; });
    if (address != view_.addresses.end()) one.own = address->address;
    one.held = std::find(own->begin(), own->end(), proxy) != own->end();
    if (one.held) answered_.insert(proxy);
    wanted.push_back(one);
  }
  announcer_.want(wanted);
  return absl::OkStatus();
}

/// Asks, announces, and lets the kernel answer for what nobody else has.
absl::Status KernelSetup::answer_arp(Lines& lines) {
  if (plan_.proxies.empty()) return absl::OkStatus();
  announcer_.step(lines);
  const absl::StatusOr<std::vector<ProxyNeighbour>> present = kernel_.proxies();
  if (!present.ok()) return present.status();
  for (const auto& [proxy, why] : plan_.proxies) {
    if (!announcer_.is_free(proxy.device, proxy.address)) continue;
    if (std::any_of(present->begin(), present->end(),
                    [&wanted = proxy](const ProxyNeighbour& other) { return is_same(other, wanted); })) {
      continue;  // by whomever: it is answered, and only what is ours is removed
    }
    if (absl::Status status = kernel_.add_proxy(proxy); !status.ok()) return status;
    const bool was_there = !answered_.insert(proxy).second;
    lines.push_back(absl::StrCat("ARP ", proxy.to_string(),
                                 was_there ? " put back — somebody had removed it (" : " answered — ", why,
                                 was_there ? ")" : ""));
  }
  return absl::OkStatus();
}

/// The start waits until it is known whether the addresses are free: what is not is an error.
absl::Status KernelSetup::await_arp(Lines& lines) {
  for (;;) {
    if (absl::Status status = answer_arp(lines); !status.ok()) return status;
    if (const Lines failures = announcer_.failures(); !failures.empty()) {
      return absl::FailedPreconditionError(absl::StrJoin(failures, "; "));
    }
    if (!announcer_.is_asking()) return absl::OkStatus();
    kernel_.arp().wait(std::min(kLongestWait, announcer_.due().value_or(kLongestWait)));
  }
}

bool KernelSetup::restore_proxies() {
  const absl::StatusOr<std::vector<ProxyNeighbour>> proxies = own_proxies();
  if (!proxies.ok()) return logged(proxies.status(), "");
  bool clean = true;
  for (const ProxyNeighbour& proxy : *proxies) {
    clean &= logged(unless_gone(kernel_.remove_proxy(proxy)),
                    absl::StrCat("ARP ", proxy.to_string(), " no longer answered — vipgate ends"));
  }
  return clean;
}

}  // namespace vipgate
