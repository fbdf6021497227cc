#include "config/masquerade.h"

#include <algorithm>
#include <utility>

#include "config/announce.h"
#include "config/reader.h"

namespace vipgate::config {
namespace {

std::optional<Ipv4Address> read_entry(const JsonValue& value, std::vector<DraftAnnouncement>& announcements,
                                      Errors& errors) {
  if (value.kind != JsonKind::object) return read_address("masquerade", value, errors);
  static constexpr std::array kKeys{Key{"address"}, Key{"shared"}, Key{"announce"},
                                    Key{.name = "ports", .built = false}};
  const ObjectReader reader("a masquerade entry", value, kKeys, errors);
  bool shared = false;
  reader.set(shared, "shared", read_false);
  std::optional<DraftAnnouncement> announcement;
  reader.set(announcement, "announce", read_announce);
  const JsonValue* address = reader.require("address", "an address of the gateway's own");
  const auto own = address == nullptr ? std::nullopt : read_own_address("address", *address, errors);
  if (!own || !announcement) return own;
  announcement->address = *own;
  announcements.push_back(*std::move(announcement));
  return own;
}

/// The addresses of a subnet that a host can have: without network and broadcast address, except in a /31 (RFC 3021)
/// and a /32.
struct Hosts {
  std::uint32_t first;
  std::uint32_t last;
};

Hosts hosts_of(Ipv4Prefix subnet) {
  const std::uint32_t edge = subnet.length() <= 30 ? 1 : 0;
  return {subnet.address().value() + edge, subnet.last().value() - edge};
}

/// The highest host address that is no VIP. Each step down is past a VIP or 255.255.255.255, so there are hardly more
/// steps than VIPs.
std::optional<Ipv4Address> last_free(Ipv4Prefix subnet, const std::vector<Ipv4Address>& sorted_vips) {
  const Hosts hosts = hosts_of(subnet);
  for (std::uint64_t value = hosts.last; value >= hosts.first && value > 0; --value) {
    const Ipv4Address address(static_cast<std::uint32_t>(value));
    if (!special_use(address).empty()) continue;
    if (!std::binary_search(sorted_vips.begin(), sorted_vips.end(), address)) return address;
  }
  return std::nullopt;
}

void add_default(Draft& draft, Errors& errors) {
  std::vector<Ipv4Address> vips;
  for (const DraftVip& vip : draft.vips) {
    if (vip.has_address) vips.push_back(vip.vip.address);
  }
  std::sort(vips.begin(), vips.end());
  for (const Placed<Ipv4Prefix>& subnet : draft.subnets.entries) {
    if (const auto address = last_free(subnet.value, vips)) {
      draft.masquerade.entries.push_back({*address, subnet.offset});
      return;
    }
  }
  if (!draft.subnets.given && !draft.vips.empty()) {  // every VIP is shared, else it is said already
    const bool all_shared =
        std::all_of(draft.vips.begin(), draft.vips.end(), [](const DraftVip& vip) { return vip.vip.shared; });
    if (all_shared) {
      errors.add(
          draft.vips.front().offset,
          "\"address\": backends need an address to answer to, and without a \"subnet\" of the tun there is none; "
          "name an unused address in \"masquerade\", such as \"masquerade\": [\"10.0.0.250\"]");
    }
  }
  if (draft.subnets.entries.empty() || !draft.subnets.whole) return;  // said already
  errors.add(
      draft.subnets.entries.front().offset,
      "\"subnet\": no address is left to masquerade with, since every host address is a VIP; name an unused address in "
      "\"masquerade\", such as \"masquerade\": [\"10.0.0.250\"]");
}

}  // namespace

void read_masquerade(const JsonValue& value, Draft& draft, Errors& errors) {
  DraftList<Ipv4Address>& masquerade = draft.masquerade;
  masquerade.given = true;
  if (value.kind != JsonKind::array) {
    add_mismatch("masquerade", value, "a list of addresses", errors);
    masquerade.whole = false;
    return;
  }
  if (value.items.empty()) {
    errors.add(value.offset,
               "\"masquerade\": the list is empty; leave it out for the default, or name an unused address");
    masquerade.whole = false;
  }
  for (const JsonValue& item : value.items) {
    const auto address = read_entry(item, draft.announcements, errors);
    if (address) masquerade.entries.push_back({*address, item.offset});
    if (!address) masquerade.whole = false;
  }
}

void resolve_masquerade(Draft& draft, Errors& errors) {
  if (!draft.masquerade.given) add_default(draft, errors);
  if (!draft.masquerade.whole || draft.masquerade.entries.empty()) return;
  std::vector<Ipv4Address> known;
  for (const Placed<Ipv4Address>& entry : draft.masquerade.entries) known.push_back(entry.value);
  std::sort(known.begin(), known.end());
  for (const DraftVip& vip : draft.vips) {
    for (const DraftService& service : vip.services) {
      if (!service.masquerade || std::binary_search(known.begin(), known.end(), service.masquerade->value)) continue;
      errors.add(service.masquerade->offset,
                 "\"masquerade\": " + service.masquerade->value.to_string() +
                     " is not in the list \"masquerade\" of the file's top level; add it there");
    }
  }
}

}  // namespace vipgate::config
