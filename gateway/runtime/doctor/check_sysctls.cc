#include <algorithm>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "runtime/doctor/doctor.h"
#include "runtime/kernel_plan_parts.h"

namespace vipgate::doctor {
namespace {

int value_of(const Facts& facts, const std::string& key) {
  const auto found = facts.sysctls.find(key);
  int value = 0;
  if (found != facts.sysctls.end()) (void)absl::SimpleAtoi(found->second, &value);
  return value;
}

std::string key_of(const std::string& device, const char* name) {
  return absl::StrCat("net/ipv4/conf/", device, "/", name);
}

/// With slashes, which sysctl(8) takes as well: a device's name may have dots.
std::string command(const std::string& key, const char* value) {
  return absl::StrCat("sysctl -w ", key, "=", value);
}

/// The stricter of `all` and the device's holds, where 2 (loose) counts as more than 1 (strict).
int reverse_filter(const Facts& facts, const std::string& device) {
  return std::max(value_of(facts, key_of("all", "rp_filter")), value_of(facts, key_of(device, "rp_filter")));
}

/// A strict filter drops what comes by one uplink and would be answered by another.
void check_uplinks(const Facts& facts, const std::vector<std::string>& front, Report& report) {
  std::uint32_t best = UINT32_MAX;
  for (const Route& route : facts.view.main_routes) {
    if (route.destination.length() == 0) best = std::min(best, route.metric);
  }
  std::set<std::string> answering;
  for (const Route& route : facts.view.main_routes) {
    if (route.destination.length() == 0 && route.metric == best) answering.insert(route.device);
  }
  if (answering.empty()) return;
  for (const std::string& device : front) {
    if (answering.contains(device) || reverse_filter(facts, device) != 1) continue;
    report.stops("sysctls",
                 absl::StrCat("packets of clients that come by ", device, " are dropped: they would be ",
                              "answered by ", *answering.begin(), ", and reverse path filtering is strict"),
                 key_of(device, "rp_filter"), {command(key_of(device, "rp_filter"), "2")});
  }
}

}  // namespace

void check_sysctls(const Config& config, const Facts& facts, Report& report) {
  const std::size_t before = report.findings.size();
  const std::vector<std::string> front = front_devices(config, facts);
  std::set<std::string> used(front.begin(), front.end());
  for (const std::string& device : backend_devices(facts)) used.insert(device);

  check_uplinks(facts, front, report);
  const bool forwards = value_of(facts, kForwarding) != 0;
  if (facts.running && !forwards) {
    report.stops("sysctls", "somebody has switched forwarding off; vipgate has it on again within a second",
                 kForwarding, {command(kForwarding, "1")});
  }
  // Where it is off, vipgate switches it on for all interfaces; where it is on, it leaves them alone.
  for (const std::string& device : used) {
    const std::string key = key_of(device, "forwarding");
    if (!forwards || device == config.tun.name || !facts.sysctls.contains(key) || value_of(facts, key) != 0) continue;
    report.stops("sysctls", absl::StrCat("what comes in by ", device, " is not forwarded"), key, {command(key, "1")});
  }
  if (facts.running && reverse_filter(facts, config.tun.name) == 1) {
    report.stops("sysctls",
                 absl::StrCat("reverse path filtering of ", config.tun.name,
                              " has become strict, and drops what vipgate writes"),
                 "net/ipv4/conf/all/rp_filter", {command("net/ipv4/conf/all/rp_filter", "0")});
  }
  if (report.findings.size() == before) report.good("sysctls", "forwarding, reverse path filtering");
}

}  // namespace vipgate::doctor
