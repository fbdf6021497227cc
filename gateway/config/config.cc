#include "config/config.h"

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

#include "config/announce.h"
#include "config/conflicts.h"
#include "config/draft.h"
#include "config/errors.h"
#include "config/json_tree.h"
#include "config/masquerade.h"
#include "config/reader.h"
#include "config/sections.h"
#include "config/services.h"

namespace vipgate {
namespace config {
namespace {

constexpr std::array kSections{
    Key{"$schema"}, Key{"tun"},   Key{"masquerade"}, Key{"defaults"}, Key{"vips"},
    Key{"egress"},  Key{"flows"}, Key{"timeouts"},   Key{"kernel"},   Key{"control"},
};

Service finish(DraftService draft) {
  Service service = std::move(draft.service);
  for (const Placed<PortRange>& range : draft.ports.ranges) service.ports.push_back(range.value);
  if (draft.masquerade) service.masquerade = draft.masquerade->value;
  for (DraftBackend& backend : draft.backends) service.backends.push_back(std::move(backend.backend));
  return service;
}

Announcement finish(const DraftAnnouncement& draft) {
  Announcement announcement{.address = draft.address, .vip = draft.vip};
  for (const Placed<std::string>& interface : draft.arp) announcement.arp.push_back(interface.value);
  if (draft.route_table) announcement.route_table = draft.route_table->value;
  return announcement;
}

void finish(Draft draft, Config& config) {
  Rules& rules = config.rules;
  for (const auto& subnet : draft.subnets.entries) rules.subnets.push_back(subnet.value);
  for (const auto& entry : draft.masquerade.entries) rules.masquerade.push_back(entry.value);
  for (DraftVip& vip : draft.vips) {
    Vip& done = rules.vips.emplace_back(std::move(vip.vip));
    auto& health = config.health.emplace_back();
    for (DraftService& service : vip.services) {
      health.push_back(std::move(service.health));
      done.services.push_back(finish(std::move(service)));
    }
  }
  for (DraftEgress& entry : draft.egress) {
    rules.egress.push_back({entry.from.value, entry.as.value, std::move(entry.except)});
  }
}

/// Puts those of VIPs before those of masquerade addresses.
void gather_announcements(Draft& draft) {
  std::vector<DraftAnnouncement> all;
  for (const DraftVip& vip : draft.vips) {
    if (!vip.announcement) continue;
    all.push_back(*vip.announcement);
    all.back().address = vip.vip.address;
    all.back().vip = true;
  }
  all.insert(all.end(), draft.announcements.begin(), draft.announcements.end());
  draft.announcements = std::move(all);
}

Config read_config(const JsonValue& root, Errors& errors) {
  Config config;
  Draft draft;
  const ObjectReader reader("the file", root, kSections, errors);
  if (const JsonValue* schema = reader.find("$schema"); schema != nullptr && schema->kind != JsonKind::string) {
    add_mismatch("$schema", *schema, "a string", errors);
  }
  draft.vips = read_vips(reader.require("vips", "a list of VIPs"), reader.find("defaults"), errors);
  const bool needs_subnet = draft.vips.empty() || std::any_of(draft.vips.begin(), draft.vips.end(),
                                                              [](const DraftVip& vip) { return !vip.vip.shared; });
  const JsonValue* tun =
      needs_subnet ? reader.require("tun", R"(a section with the VIPs' prefix: "tun": { "subnet": "203.0.113.8/29" })")
                   : reader.find("tun");
  if (tun != nullptr) read_tun(*tun, needs_subnet, config.tun, draft.subnets, errors);
  if (const JsonValue* masquerade = reader.find("masquerade")) read_masquerade(*masquerade, draft, errors);
  if (const JsonValue* egress = reader.find("egress")) read_egress(*egress, draft.egress, errors);
  if (const JsonValue* flows = reader.find("flows")) read_flows(*flows, config.flows, errors);
  if (const JsonValue* timeouts = reader.find("timeouts")) read_timeouts(*timeouts, config.rules.timeouts, errors);
  if (const JsonValue* kernel = reader.find("kernel")) read_kernel(*kernel, config.kernel, errors);
  read_control(reader.find("control"), config.flows.state_dir, config.control, errors);

  gather_announcements(draft);
  resolve_masquerade(draft, errors);
  check_subnets(draft.subnets, errors);
  check_addresses(draft, errors);
  check_interfaces(draft, config.tun.name, errors);
  check_services(draft, errors);
  check_backends(draft, errors);
  check_egress(draft, errors);
  check_announcements(draft, config, errors);
  if (!errors.empty()) return config;
  for (const DraftAnnouncement& announcement : draft.announcements)
    config.announcements.push_back(finish(announcement));
  finish(std::move(draft), config);
  return config;
}

}  // namespace
}  // namespace config

ConfigResult parse_config(std::string_view text) try {
  ConfigResult result;
  config::Errors errors(text);
  config::JsonValue root;
  if (config::parse_json(text, root, errors)) {
    Config read = config::read_config(root, errors);
    if (errors.empty()) result.config = std::move(read);
  }
  result.errors = errors.report();
  return result;
} catch (const std::exception& error) {  // out of memory: the running configuration stays
  return {.config = std::nullopt,
          .errors = {{.line = 1, .column = 1, .what = std::string("cannot be read: ") + error.what()}}};
}

}  // namespace vipgate
