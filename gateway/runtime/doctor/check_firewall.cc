#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "runtime/doctor/doctor.h"
#include "runtime/doctor/legs.h"

namespace vipgate::doctor {
namespace {

constexpr std::size_t kMaxNamed = 3;
constexpr std::size_t kMaxCommands = 8;

std::vector<std::string> hooks_of(const Leg& leg) {
  if (leg.kind == LegKind::checks) return {"output", "postrouting"};
  if (leg.kind == LegKind::check_answers) return {"prerouting", "input"};
  return {"prerouting", "forward", "postrouting"};
}

std::string way_of(const Leg& leg) {
  if (!leg.is_forwarded()) return "";
  return absl::StrCat(" (", leg.sample.incoming, " → ", leg.sample.outgoing, ")");
}

std::string names_of(const std::vector<const Leg*>& legs) {
  // One of each kind first: they tell more than ten services of one kind.
  std::vector<std::string> names;
  std::set<LegKind> kinds;
  for (const Leg* leg : legs) {
    if (names.size() < kMaxNamed && kinds.insert(leg->kind).second)
      names.push_back(absl::StrCat(leg->what, way_of(*leg)));
  }
  std::string text = absl::StrJoin(names, "; ");
  if (legs.size() > names.size()) absl::StrAppend(&text, "; and ", legs.size() - names.size(), " more");
  return text;
}

std::string address_of(Interval numbers) {
  return Ipv4Address(numbers.first).to_string();
}

/// What lets these packets in, in the words of the tool that made the table.
std::vector<std::string> remedies_for(const Table& table, const Chain& chain, const std::string& tun,
                                      const std::vector<const Leg*>& legs) {
  if (chain.hook == "forward") {
    if (table.chains.contains("DOCKER-USER")) {
      return {absl::StrCat(table.tool, " -I DOCKER-USER -i ", tun, " -j ACCEPT"),
              absl::StrCat(table.tool, " -I DOCKER-USER -o ", tun, " -j ACCEPT")};
    }
    if (table.chains.contains("ufw-user-forward")) {
      return {absl::StrCat("ufw route allow in on ", tun), absl::StrCat("ufw route allow out on ", tun)};
    }
    if (table.name == "firewalld") {
      const std::string policy = "firewall-cmd --permanent --policy vipgate";
      return {absl::StrCat("firewall-cmd --permanent --zone trusted --add-interface ", tun),
              "firewall-cmd --permanent --new-policy vipgate-in && firewall-cmd --permanent --new-policy vipgate-out",
              absl::StrCat(policy, "-in --add-ingress-zone ANY --add-egress-zone trusted --set-target ACCEPT"),
              absl::StrCat(policy, "-out --add-ingress-zone trusted --add-egress-zone ANY --set-target ACCEPT"),
              "firewall-cmd --reload"};
    }
    if (table.tool != "nft") {
      return {absl::StrCat(table.tool, " -t ", table.name, " -I ", chain.name, " -i ", tun, " -j ACCEPT"),
              absl::StrCat(table.tool, " -t ", table.name, " -I ", chain.name, " -o ", tun, " -j ACCEPT")};
    }
    const std::string insert = absl::StrCat("nft insert rule ", table.family, " ", table.name, " ", chain.name);
    return {absl::StrCat(insert, " iifname ", tun, " accept"), absl::StrCat(insert, " oifname ", tun, " accept")};
  }
  std::vector<std::string> commands;
  for (const Leg* leg : legs) {
    const bool by_source = leg->is_reply();
    const Interval address = by_source ? leg->sample.source : leg->sample.destination;
    const std::string command =
        address.first != address.last ? absl::StrCat("let ", leg->what, " in")
        : table.tool == "nft" ? absl::StrCat("nft insert rule ", table.family, " ", table.name, " ", chain.name, " ip ",
                                             by_source ? "saddr " : "daddr ", address_of(address), " accept")
                              : absl::StrCat(table.tool, " -t ", table.name, " -I ", chain.name,
                                             by_source ? " -s " : " -d ", address_of(address), " -j ACCEPT");
    if (std::find(commands.begin(), commands.end(), command) != commands.end()) continue;
    commands.push_back(command);
    if (commands.size() == kMaxCommands) break;
  }
  return commands;
}

void check_chain(const Table& table, const Chain& chain, const std::vector<Leg>& legs, const std::string& tun,
                 Report& report) {
  std::vector<const Leg*> dropped;
  std::vector<const Leg*> doubtful;
  std::string by;
  for (const Leg& leg : legs) {
    const std::vector<std::string> hooks = hooks_of(leg);
    if (std::find(hooks.begin(), hooks.end(), chain.hook) == hooks.end()) continue;
    const Fate fate = walk(table, chain, leg.at(chain.hook));
    if (!fate.drops) continue;
    (fate.all_dropped() ? dropped : doubtful).push_back(&leg);
    if (by.empty()) by = fate.dropped_by == nullptr ? "policy drop" : fate.dropped_by->name;
  }
  const std::string where = absl::StrCat(table.place(chain), ": ", by);
  if (!dropped.empty()) {
    report.stops("firewall", absl::StrCat("dropped: ", names_of(dropped)), where,
                 remedies_for(table, chain, tun, dropped));
  } else if (!doubtful.empty()) {
    report.note("firewall", absl::StrCat("rules let some of these through, and drop the others: ", names_of(doubtful)),
                where, remedies_for(table, chain, tun, doubtful));
  }
}

}  // namespace

void check_firewall(const Config& config, const Facts& facts, Report& report) {
  const std::size_t before = report.findings.size();
  for (const std::string& unseen : facts.firewall.unseen) {
    const bool by_legacy = unseen.find("older iptables") != std::string::npos;
    report.note("firewall", unseen, by_legacy ? "iptables" : "nftables",
                {by_legacy ? "apt install iptables" : "apt install nftables; then, as root: vipgate doctor"});
  }
  const std::vector<Leg> legs = legs_of(config, facts);
  std::size_t chains = 0;
  for (const Table& table : facts.firewall.tables) {
    for (const auto& [name, chain] : table.chains) {
      if (chain.hook.empty() || chain.type == "nat") continue;
      ++chains;
      check_chain(table, chain, legs, config.tun.name, report);
    }
  }
  if (report.findings.size() == before) {
    report.good("firewall", chains == 0 ? "there is none"
                                        : absl::StrCat("nothing that is needed is dropped in ", chains,
                                                       chains == 1 ? " chain" : " chains"));
  }
}

}  // namespace vipgate::doctor
