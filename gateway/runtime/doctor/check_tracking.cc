#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "runtime/doctor/doctor.h"
#include "runtime/doctor/legs.h"

namespace vipgate::doctor {
namespace {

/// Rules that have connection tracking leave alone what passes the TUN. Of a shared address only the served ports: the
/// host's own firewall may have to know the rest.
std::vector<std::string> untracking(const Config& config) {
  const std::string chain = "ip vipgate_untracked before";
  const std::string add = absl::StrCat("nft add rule ", chain, " ");
  std::vector<std::string> remedies{
      "nft add table ip vipgate_untracked",
      absl::StrCat("nft add chain ", chain, " '{ type filter hook prerouting priority raw; }'"),
      absl::StrCat(add, "iifname ", config.tun.name, " notrack")};
  std::set<std::string> to;
  std::set<std::string> from;
  for (const Ipv4Prefix subnet : config.rules.subnets) to.insert(subnet.to_string());
  const auto add_address = [&](Ipv4Address address) {
    const bool in_subnet = std::any_of(config.rules.subnets.begin(), config.rules.subnets.end(),
                                       [&](Ipv4Prefix subnet) { return subnet.contains(address); });
    if (!in_subnet) to.insert(address.to_string());
  };
  for (const Ipv4Address address : config.rules.masquerade) add_address(address);
  for (const Egress& egress : config.rules.egress) from.insert(egress.from.to_string());
  for (const Vip& vip : config.rules.vips) {
    if (!vip.shared) add_address(vip.address);
    for (const Service& service : vip.services) {
      for (const Backend& backend : service.backends) {
        if (service.source == SourceMode::preserve) from.insert(backend.address.to_string());
      }
      for (const Protocol protocol : service.protocols) {
        for (const PortRange ports : service.ports) {
          if (!vip.shared) continue;
          remedies.push_back(absl::StrCat(add, "ip daddr ", vip.address.to_string(),
                                          protocol == Protocol::tcp ? " tcp" : " udp", " dport ", ports.first, "-",
                                          ports.last, " notrack"));
        }
      }
    }
  }
  if (!to.empty()) remedies.push_back(absl::StrCat(add, "ip daddr '{ ", absl::StrJoin(to, ", "), " }' notrack"));
  if (!from.empty()) remedies.push_back(absl::StrCat(add, "ip saddr '{ ", absl::StrJoin(from, ", "), " }' notrack"));
  return remedies;
}

}  // namespace

void check_tracking(const Config& config, const Facts& facts, Report& report) {
  const bool unseen = !facts.firewall.unseen.empty() && facts.conntrack && facts.conntrack->entries > 0;
  if (!facts.firewall.tracks() && !unseen) {
    report.good("tracking", "no firewall rule makes the kernel track connections");
    return;
  }
  const std::vector<Leg> legs = legs_of(config, facts);
  const bool tracked = std::any_of(
      legs.begin(), legs.end(), [](const Leg& leg) { return leg.is_forwarded() && leg.sample.state != "untracked"; });
  if (!tracked) {
    report.good("tracking", "the kernel does not track the VIPs' connections");
    return;
  }
  std::string size;
  if (facts.conntrack && facts.conntrack->room != 0) {  // 0: as many as there are
    size = absl::StrCat(", and its table has room for ", facts.conntrack->room, " (", facts.conntrack->entries,
                        " are in it)");
    if (facts.conntrack->entries >= facts.conntrack->room) {
      report.stops("tracking", "the table of tracked connections is full: the kernel drops what opens further ones",
                   "net/netfilter/nf_conntrack_max",
                   {absl::StrCat("sysctl -w net.netfilter.nf_conntrack_max=", facts.conntrack->room * 2)});
    }
  }
  report.slows("tracking",
               absl::StrCat("the kernel tracks each flow twice, before and behind ", config.tun.name,
                            ", which costs time", size),
               "net/netfilter/nf_conntrack_max", untracking(config));
}

}  // namespace vipgate::doctor
