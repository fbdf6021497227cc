#include <algorithm>

#include "absl/strings/str_cat.h"
#include "runtime/doctor/doctor.h"

namespace vipgate::doctor {
namespace {

constexpr std::uint32_t kShortQueue = 1000;  // packets; vipgate gives the TUN that it makes ten times as many

}  // namespace

void check_device(const Config& config, const Facts& facts, Report& report) {
  const std::string& name = config.tun.name;
  const std::size_t before = report.findings.size();
  const auto link = std::find_if(facts.view.links.begin(), facts.view.links.end(),
                                 [&](const Link& other) { return other.name == name; });
  if (link != facts.view.links.end() && !facts.running) {
    const std::string remove = absl::StrCat("ip link delete ", name);
    const std::string other_name = "or another \"tun\": { \"name\" } in the configuration";
    if (!link->tun) {
      const std::string kind = link->kind.empty() ? "device" : link->kind == "tun" ? "TAP" : link->kind;
      report.stops("device", absl::StrCat(name, " is there already, a ", kind, " and no TUN"), name,
                   {remove, other_name});
    } else if (!link->multi_queue) {
      report.stops("device", absl::StrCat(name, " is a TUN with a single queue, which cannot become one with several"),
                   name, {remove, other_name});
    } else if (link->carrier) {
      report.note("device",
                  absl::StrCat("another program has ", name,
                               " open; a gateway that was just killed leaves it "
                               "so for 30 seconds"),
                  name, {absl::StrCat("grep -l iff:.*", name, " /proc/[0-9]*/fdinfo/*   # who that is"), other_name});
    } else {
      report.note("device",
                  absl::StrCat(name,
                               " is there, and nobody has it open: a killed gateway's, which the next "
                               "start takes over, or somebody else's"),
                  name, {"vipgate clean   # takes back what a killed gateway has left"});
    }
  }
  if (link != facts.view.links.end() && link->tun && link->queue_length < kShortQueue) {
    report.slows("device",
                 absl::StrCat(name, " keeps ", link->queue_length, " packets where nobody reads it for a ",
                              "moment, as during a take-over; the others are lost"),
                 name, {"vipgate has to make the device itself: end it, delete the device, and start it"});
  }
  const std::uint32_t workers = config.tun.workers;
  if (workers > facts.processors) {
    report.slows("device",
                 absl::StrCat("there are more workers (", workers, ") than processors (", facts.processors, ")"),
                 "tun.workers", {"\"workers\": \"auto\" in the configuration"});
  }
  if (report.findings.size() == before) {
    report.good("device", absl::StrCat(name, facts.running ? " is the gateway's" : " is free"));
  }
}

/// Cards that do not join packets have each of them forwarded by itself, twice.
void check_cards(const Config& config, const Facts& facts, Report& report) {
  std::vector<std::string> used = front_devices(config, facts);
  const std::vector<std::string> inside = backend_devices(facts);
  used.insert(used.end(), inside.begin(), inside.end());
  // What a bridge or bond receives, its ports have joined.
  for (const Link& link : facts.view.links) {
    if (!link.master.empty() && std::find(used.begin(), used.end(), link.master) != used.end())
      used.push_back(link.name);
  }
  std::vector<std::string> commands;
  std::string names;
  bool any = false;
  for (const auto& [card, merges] : facts.merges) {
    if (std::find(used.begin(), used.end(), card) == used.end()) continue;
    any = true;
    if (merges) continue;
    absl::StrAppend(&names, names.empty() ? "" : ", ", card);
    commands.push_back(absl::StrCat("ethtool -K ", card, " gro on"));
  }
  if (!commands.empty()) {
    report.slows("cards",
                 absl::StrCat("packets that come in by ", names,
                              " are not joined (GRO is off): bulk traffic takes several times the work"),
                 names, std::move(commands));
  } else if (any) {
    report.good("cards", "GRO is on");
  }
}

}  // namespace vipgate::doctor
