#include <set>

#include "absl/strings/str_cat.h"
#include "runtime/doctor/doctor.h"
#include "runtime/doctor/legs.h"

namespace vipgate::doctor {
namespace {

/// Others that give packets another source, of which vipgate, or who gets them, would not know.
void check_disguise(const Table& table, const Chain& chain, const std::vector<Leg>& legs, std::set<const Rule*>& told,
                    Report& report) {
  for (const Leg& leg : legs) {
    if ((leg.kind != LegKind::from_clients && leg.kind != LegKind::as_egress) || leg.sample.state != "new") continue;
    for (const Rule* rule : walk(table, chain, leg.sample).disguised_by) {
      if (!told.insert(rule).second) continue;
      report.note("translation",
                  leg.kind == LegKind::as_egress
                      ? absl::StrCat(leg.what, " get another address on their way out")
                      : absl::StrCat(leg.what,
                                     " get another source, so that vipgate does not see who "
                                     "they are from: allow, deny, limits and balancing go wrong"),
                  absl::StrCat(table.place(chain), ": ", rule->name), {rule->removal});
    }
  }
}

}  // namespace

/// Others that translate the VIPs' packets before vipgate sees them.
void check_translation(const Config& config, const Facts& facts, Report& report) {
  const std::vector<Leg> legs = legs_of(config, facts);
  std::set<const Rule*> told;
  for (const Table& table : facts.firewall.tables) {
    for (const auto& [name, chain] : table.chains) {
      if (chain.hook != "prerouting") continue;
      for (const Leg& leg : legs) {
        if (leg.kind != LegKind::from_clients && leg.kind != LegKind::from_backends) continue;
        if (leg.is_reply() && chain.type == "nat") continue;  // NAT sees first packets alone
        if (leg.sample.state == "untracked" && chain.type == "nat") continue;
        const Fate fate = walk(table, chain, leg.at(chain.hook));
        for (const Rule* rule : fate.translated_by) {
          if (!told.insert(rule).second) continue;
          report.stops(
              "translation",
              absl::StrCat(leg.what, " (in by ", leg.sample.incoming, ") are sent elsewhere before vipgate gets them"),
              absl::StrCat(table.place(chain), ": ", rule->name), {rule->removal});
        }
        for (const Rule* rule : fate.partly_translated_by) {
          if (!told.insert(rule).second) continue;
          report.note("translation",
                      absl::StrCat("some of ", leg.what, " (in by ", leg.sample.incoming,
                                   ") may be sent elsewhere before vipgate gets them"),
                      absl::StrCat(table.place(chain), ": ", rule->name), {rule->removal});
        }
      }
    }
  }
  for (const Table& table : facts.firewall.tables) {
    for (const auto& [name, chain] : table.chains) {
      if (chain.hook == "postrouting") check_disguise(table, chain, legs, told, report);
    }
  }
  if (told.empty() && !facts.firewall.tables.empty())
    report.good("translation", "no other NAT takes the VIPs' packets");
}

}  // namespace vipgate::doctor
