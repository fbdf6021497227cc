#include "runtime/kernel_plan_parts.h"

#include "absl/strings/str_cat.h"

namespace vipgate {
namespace {

constexpr Ipv4Address kLinkAddress{0xa9fe5601};  // 169.254.86.1, RFC 3927

}  // namespace

void plan_sysctls(const Config& config, const KernelView& view, KernelPlan& plan) {
  const std::string& tun = config.tun.name;
  if (view.ipv6) {
    plan.device_sysctls.push_back(
        {{absl::StrCat("net/ipv6/conf/", tun, "/disable_ipv6"), "1"}, "no IPv6 noise on the TUN"});
  }
  const std::string reverse_filter = absl::StrCat("net/ipv4/conf/", tun, "/rp_filter");
  if (view.reverse_filter) {
    // The stricter of `all` and the device holds. Loose filtering needs some address on the device, or it filters
    // strictly.
    plan.device_sysctls.push_back(
        {{reverse_filter, "2"}, "vipgate writes packets of every source; conf.all.rp_filter is on"});
    plan.address = {
        {.device = tun, .address = kLinkAddress, .network = host_prefix(kLinkAddress), .scope = AddressScope::link},
        "loose reverse path filtering needs an address"};
  } else {
    plan.device_sysctls.push_back({{reverse_filter, "0"}, "vipgate writes packets of every source"});
  }
  plan.device_sysctls.push_back(
      {{absl::StrCat("net/ipv4/conf/", tun, "/accept_local"), "1"}, "errors of this host itself pass through the TUN"});
  plan.sysctls.push_back({{kForwarding, "1"}, "translated packets are forwarded"});
  // Follows ip_forward only where that changes, and is what counts for packets from the TUN.
  plan.sysctls.push_back(
      {{absl::StrCat("net/ipv4/conf/", tun, "/forwarding"), "1"}, "what vipgate writes is forwarded"});
}

}  // namespace vipgate
