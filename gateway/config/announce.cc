#include "config/announce.h"

#include <algorithm>
#include <utility>

#include "config/reader.h"

namespace vipgate::config {
namespace {

std::optional<std::vector<Placed<std::string>>> read_interfaces(std::string_view key, const JsonValue& value,
                                                                Errors& errors) {
  if (value.kind != JsonKind::array) {
    add_mismatch(key, value, "a list of interface names, such as [\"eth0\"]", errors);
    return std::nullopt;
  }
  if (value.items.empty()) errors.add(value.offset, quoted(key) + ": the list is empty; leave it out");
  std::vector<Placed<std::string>> interfaces;
  for (const JsonValue& item : value.items) {
    auto name = read_interface_name(key, item, errors);
    if (!name) continue;
    const auto same = std::find_if(interfaces.begin(), interfaces.end(),
                                   [&](const Placed<std::string>& other) { return other.value == *name; });
    if (same != interfaces.end()) {
      errors.add(item.offset, quoted(key) + ": " + quoted(*name) + " is in the list twice, first at " +
                                  errors.place(same->offset) + "; name it once");
      continue;
    }
    interfaces.push_back({*std::move(name), item.offset});
  }
  return interfaces;
}

}  // namespace

std::optional<DraftAnnouncement> read_announce(std::string_view key, const JsonValue& value, Errors& errors) {
  static constexpr std::array kKeys{Key{"arp"}, Key{"route_table"}};
  const ObjectReader reader("\"announce\"", value, kKeys, errors);
  if (value.kind != JsonKind::object) return std::nullopt;
  if (value.members.empty()) {
    errors.add(value.offset, quoted(key) +
                                 ": is empty; leave it out, or name interfaces in \"arp\" or a routing "
                                 "table in \"route_table\"");
  }
  DraftAnnouncement draft;
  reader.set(draft.arp, "arp", read_interfaces);
  if (const JsonValue* table = reader.find("route_table")) {
    const auto number = read_table("route_table", *table, errors);
    if (number) draft.route_table = {static_cast<std::uint32_t>(*number), table->offset};
  }
  return draft;
}

void check_announcements(const Draft& draft, const Config& config, Errors& errors) {
  for (const DraftAnnouncement& announcement : draft.announcements) {
    if (const auto& table = announcement.route_table; table && table->value == config.kernel.table) {
      errors.add(table->offset, "\"route_table\": " + std::to_string(table->value) +
                                    " is vipgate's own table (\"kernel\", \"table\"), which holds a default route; "
                                    "choose another, such as " +
                                    std::to_string(table->value == 186 ? 185 : 186));
    }
    for (const Placed<std::string>& interface : announcement.arp) {
      if (interface.value != config.tun.name) continue;
      errors.add(interface.offset, "\"arp\": " + quoted(interface.value) +
                                       " is the TUN itself, where nobody asks; name the interface of the LAN");
    }
  }
}

}  // namespace vipgate::config
