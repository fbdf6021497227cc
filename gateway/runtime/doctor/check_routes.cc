#include <algorithm>
#include <array>
#include <set>

#include "absl/strings/str_cat.h"
#include "runtime/doctor/doctor.h"
#include "runtime/doctor/policy_rules.h"
#include "runtime/kernel_plan_parts.h"

namespace vipgate::doctor {
namespace {

bool is_private(Ipv4Address address) {  // RFC 1918
  static const std::array<Ipv4Prefix, 3> kPrivate{*Ipv4Prefix::parse("10.0.0.0/8"), *Ipv4Prefix::parse("172.16.0.0/12"),
                                                  *Ipv4Prefix::parse("192.168.0.0/16")};
  return std::any_of(kPrivate.begin(), kPrivate.end(), [&](Ipv4Prefix prefix) { return prefix.contains(address); });
}

/// Routes of others that hold the address: only the default one does.
bool only_by_default(Ipv4Address address, const KernelView& view) {
  return std::none_of(view.main_routes.begin(), view.main_routes.end(), [&](const Route& route) {
    return route.destination.length() != 0 && route.destination.contains(address);
  });
}

/// The one that the kernel takes; none: nullptr.
const Route* best_route(const std::vector<Route>& routes, Ipv4Address address) {
  const Route* best = nullptr;
  for (const Route& route : routes) {
    if (!route.destination.contains(address)) continue;
    const bool better = best == nullptr || route.destination.length() > best->destination.length() ||
                        (route.destination.length() == best->destination.length() && route.metric < best->metric);
    if (better) best = &route;
  }
  return best;
}

void check_way(Ipv4Address address, const Way& way, const Config& config, const Facts& facts, Report& report) {
  const std::string name = absl::StrCat("backend ", address.to_string());
  const std::string add_route = absl::StrCat("ip route add ", address.to_string(), "/32 via GATEWAY dev DEVICE");
  if (!way.problem.empty()) {
    report.stops("backends", absl::StrCat(name, " cannot be reached: ", way.problem),
                 absl::StrCat("ip route get ", address.to_string()), {add_route});
    return;
  }
  if (way.local) {
    report.stops("backends",
                 absl::StrCat(name, " is this host itself: its replies do not come back through ", config.tun.name,
                              ", so its flows do not work"),
                 absl::StrCat("ip route get ", address.to_string()),
                 {"serve it from another host, container or namespace"});
    return;
  }
  const bool in_subnet = std::any_of(config.rules.subnets.begin(), config.rules.subnets.end(),
                                     [&](Ipv4Prefix subnet) { return subnet.contains(address); });
  const bool has_own =
      std::any_of(facts.view.main_routes.begin(), facts.view.main_routes.end(), [&](const Route& route) {
        return route.destination == Ipv4Prefix(address, 32) && route.device != config.tun.name;
      });
  if (way.device == config.tun.name || (in_subnet && !has_own)) {
    report.stops("backends",
                 absl::StrCat(name, " lies in a network that is routed to ", config.tun.name, ": nothing reaches it"),
                 absl::StrCat("ip route get ", address.to_string()), {add_route});
    return;
  }
  const auto link = std::find_if(facts.view.links.begin(), facts.view.links.end(),
                                 [&](const Link& other) { return other.name == way.device; });
  if (link != facts.view.links.end() && (!link->up || !link->carrier)) {
    report.stops("backends",
                 absl::StrCat(way.device, ", which leads to the ", name,
                              link->up ? ", has no carrier: is a cable or a peer missing?" : ", is down"),
                 way.device, {absl::StrCat("ip link set ", way.device, " up")});
  } else if (is_private(address) && only_by_default(address, facts.view)) {
    report.note("backends",
                absl::StrCat("nothing but the default route leads to the ", name, ", by ", way.device,
                             ". Is its address mistyped, or a route missing?"),
                absl::StrCat("ip route get ", address.to_string()), {add_route});
  }
}

/// What is beyond this host's sight: told once for all services.
void tell_of_replies(const Config& config, Report& report) {
  std::string preserved;
  bool masqueraded = false;
  for (const Vip& vip : config.rules.vips) {
    for (const Service& service : vip.services) {
      if (service.source == SourceMode::preserve)
        absl::StrAppend(&preserved, preserved.empty() ? "" : ", ", service.name);
      masqueraded = masqueraded || service.source == SourceMode::masquerade;
    }
  }
  if (!preserved.empty()) {
    report.note(
        "backends",
        absl::StrCat("from here it cannot be seen whether the backends of ", preserved,
                     " (\"source\": \"preserve\") send their replies to clients to this host"),
        "each of them: ip route get 198.51.100.7",
        {"it has to name an address of this host after 'via'; else, there: ip route replace default via THIS-HOST"});
  }
  std::vector<Ipv4Address> routed;  // others are announced to the backends
  for (const Ipv4Address address : config.rules.masquerade) {
    const bool announced = std::any_of(config.announcements.begin(), config.announcements.end(),
                                       [&](const Announcement& other) { return other.address == address; });
    if (!announced) routed.push_back(address);
  }
  if (masqueraded && !routed.empty()) {
    std::string addresses;
    for (const Ipv4Address address : routed) {
      absl::StrAppend(&addresses, addresses.empty() ? "" : ", ", address.to_string());
    }
    report.note("backends",
                absl::StrCat("from here it cannot be seen whether backends send their replies to ", addresses,
                             " (masquerade) to this host"),
                absl::StrCat("each of them: ip route get ", routed.front().to_string()),
                {absl::StrCat("it has to name an address of this host after 'via'; else, there: ip route add ",
                              routed.front().to_string(), " via THIS-HOST")});
  }
}

}  // namespace

/// The same questions that a start asks.
void check_plan(const Config& config, const Facts& facts, Report& report) {
  const std::size_t before = report.findings.size();
  const absl::StatusOr<KernelPlan> plan = plan_kernel(config, facts.view);
  if (!plan.ok()) {
    std::string what(plan.status().message());
    std::vector<std::string> remedies;
    constexpr const char* kRemedy = "Remedy: ";
    if (const std::size_t at = what.find(kRemedy); at != std::string::npos) {
      remedies.push_back(what.substr(at + std::string_view(kRemedy).size()));
      what.erase(at);
      while (!what.empty() && (what.back() == ' ' || what.back() == '.')) what.pop_back();
    }
    report.stops("routes", what, "routes, addresses and policy rules", std::move(remedies));
    return;
  }
  KernelPlan of_backends;  // check_backends() has its own words for them
  of_backends.routes = plan_routes(config);
  (void)find_backends(config, facts.view, of_backends);
  for (const std::string& warning : plan->warnings) {
    const auto& known = of_backends.warnings;
    if (std::find(known.begin(), known.end(), warning) != known.end()) continue;
    report.note("routes", warning, "routes, addresses and policy rules", {});
  }
  if (report.findings.size() == before) {
    report.good("routes", absl::StrCat("no other route, rule or address is in the way of ", plan->routes.size(),
                                       " routes and ", plan->rules.size(), " policy rules"));
  }
}

void check_backends(const Config& config, const Facts& facts, Report& report) {
  for (const auto& [address, way] : facts.ways) check_way(address, way, config, facts, report);
  const bool well = std::none_of(report.findings.begin(), report.findings.end(),
                                 [](const Finding& finding) { return finding.subject == "backends"; });
  if (well)
    report.good("backends", facts.ways.size() == 1 ? "there is a route to it"
                                                   : absl::StrCat("there is a route to each of ", facts.ways.size()));
  tell_of_replies(config, report);
}

/// A rule ahead of ours that leads packets for backends elsewhere than the main table.
void check_policy_rules(const Config& config, const Facts& facts, Report& report) {
  for (const PolicyRule& rule : rules_ahead(config, facts.view)) {
    const std::string where = absl::StrCat("ip rule: ", rule.to_string());
    const std::vector<std::string> remedies{
        absl::StrCat("a \"kernel\": { \"rule_priority\" } below ", rule.priority, " in the configuration"),
        absl::StrCat("or: ip rule delete pref ", rule.priority)};
    for (const auto& [address, way] : facts.ways) {
      if (!rule.to.contains(address)) continue;
      if (rule.from.length() != 0 || rule.first_port != 0 || rule.ip_protocol != 0) continue;  // for some packets only
      if (rule.action != RuleAction::lookup) {
        report.stops(
            "routes",
            absl::StrCat("a policy rule ahead of vipgate's refuses packets to the backend ", address.to_string()),
            where, remedies);
        break;
      }
      const auto table = facts.policy_tables.find(rule.table);
      if (table == facts.policy_tables.end()) continue;
      const Route* best = best_route(table->second, address);
      const Route* meant = best_route(facts.view.main_routes, address);
      if (best == nullptr || meant == nullptr) continue;
      if (best->device == meant->device && best->gateway == meant->gateway && best->type == meant->type) continue;
      report.stops("routes",
                   absl::StrCat("a policy rule ahead of vipgate's sends packets to the backend ", address.to_string(),
                                " elsewhere (", best->to_string(), ")"),
                   where, remedies);
      break;
    }
  }
}

}  // namespace vipgate::doctor
