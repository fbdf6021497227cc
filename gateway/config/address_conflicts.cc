#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "config/conflicts.h"
#include "config/reader.h"

namespace vipgate::config {
namespace {

using PlacedPrefix = Placed<Ipv4Prefix>;

std::vector<PlacedPrefix> sorted(const DraftList<Ipv4Prefix>& subnets) {
  std::vector<PlacedPrefix> result = subnets.entries;
  // A prefix sorts before those inside it.
  std::sort(result.begin(), result.end(), [](const PlacedPrefix& a, const PlacedPrefix& b) {
    return std::tuple(a.value, a.offset) < std::tuple(b.value, b.offset);
  });
  return result;
}

/// Which subnet holds an address. Of subnets that overlap, which is an error, the outer one.
class SubnetIndex {
 public:
  explicit SubnetIndex(const DraftList<Ipv4Prefix>& subnets) {
    for (const PlacedPrefix& subnet : sorted(subnets)) {
      if (outer_.empty() || !outer_.back().value.contains(subnet.value)) outer_.push_back(subnet);
    }
  }

  const PlacedPrefix* find(Ipv4Address address) const {
    const auto next = std::upper_bound(
        outer_.begin(), outer_.end(), address,
        [](Ipv4Address wanted, const PlacedPrefix& subnet) { return wanted < subnet.value.address(); });
    if (next == outer_.begin()) return nullptr;
    const PlacedPrefix& candidate = *std::prev(next);
    return candidate.value.contains(address) ? &candidate : nullptr;
  }

 private:
  std::vector<PlacedPrefix> outer_;
};

enum class Role : std::uint8_t { vip, masquerade, backend };

std::string name_of(Role role) {
  static constexpr std::array kNames{"a VIP", "a masquerade address", "a backend"};
  return kNames.at(static_cast<std::size_t>(role));
}

struct Use {
  Ipv4Address address;
  Role role = Role::vip;
  std::size_t offset = 0;
  bool shared = false;  // a VIP that is this host's address, too

  bool operator<(const Use& other) const {
    return std::tie(address, role, offset) < std::tie(other.address, other.role, other.offset);
  }
};

std::vector<Use> uses_of(const Draft& draft) {
  std::vector<Use> uses;
  for (const DraftVip& vip : draft.vips) {
    if (vip.has_address) uses.push_back({vip.vip.address, Role::vip, vip.offset, vip.vip.shared});
    for (const DraftService& service : vip.services) {
      for (const DraftBackend& backend : service.backends) {
        uses.push_back({backend.backend.address, Role::backend, backend.offset});
      }
    }
  }
  // A default masquerade address is no VIP, and a backend like it lies in a subnet: nothing to say about what nobody
  // wrote.
  if (draft.masquerade.given) {
    for (const auto& entry : draft.masquerade.entries) uses.push_back({entry.value, Role::masquerade, entry.offset});
  }
  std::sort(uses.begin(), uses.end());
  return uses;
}

/// `owner` is a VIP or a masquerade address.
void add_clash(const Use& owner, const Use& other, Errors& errors) {
  const auto [earlier, later] =
      std::minmax(owner, other, [](const Use& a, const Use& b) { return a.offset < b.offset; });
  const std::string address = owner.address.to_string();
  const std::string place = errors.place(earlier.offset);
  if (owner.role != other.role) {
    errors.add(later.offset, address + " is " + name_of(later.role) + " here and " + name_of(earlier.role) + " at " +
                                 place + "; use another address for one of them");
  } else if (owner.role == Role::vip) {
    errors.add(later.offset, address + " is a VIP already at " + place + "; put all its services there");
  } else {
    errors.add(later.offset, address + " is a masquerade address already at " + place + "; name it once");
  }
}

/// The first of sorted prefixes that lies in `outer`.
const PlacedPrefix* find_inside(Ipv4Prefix outer, const std::vector<PlacedPrefix>& sorted_prefixes) {
  const auto first =
      std::lower_bound(sorted_prefixes.begin(), sorted_prefixes.end(), outer.address(),
                       [](const PlacedPrefix& prefix, Ipv4Address wanted) { return prefix.value.address() < wanted; });
  return first != sorted_prefixes.end() && outer.contains(first->value) ? &*first : nullptr;
}

/// Egress hosts have addresses of their own, none of the gateway's.
void check_egress_hosts(const Draft& draft, Errors& errors) {
  DraftList<Ipv4Prefix> vips;
  DraftList<Ipv4Prefix> masquerade;
  for (const DraftVip& vip : draft.vips) {
    if (vip.has_address) vips.entries.push_back({Ipv4Prefix(vip.vip.address, 32), vip.offset});
  }
  if (draft.masquerade.given) {  // a default one lies in a subnet
    for (const auto& entry : draft.masquerade.entries) {
      masquerade.entries.push_back({Ipv4Prefix(entry.value, 32), entry.offset});
    }
  }
  const std::array owners{std::pair("VIP ", sorted(vips)), std::pair("masquerade address ", sorted(masquerade)),
                          std::pair("the tun's subnet ", sorted(draft.subnets))};
  const SubnetIndex subnets(draft.subnets);
  for (const DraftEgress& entry : draft.egress) {
    const Ipv4Prefix from = entry.from.value;
    std::string_view kind;
    const PlacedPrefix* clash = nullptr;
    for (const auto& [name, prefixes] : owners) {
      if (clash == nullptr) kind = name;
      if (clash == nullptr) clash = find_inside(from, prefixes);
    }
    if (clash == nullptr) clash = subnets.find(from.address());
    if (clash == nullptr) continue;
    const bool one = clash->value.length() == 32;
    errors.add(entry.from.offset, "\"from\": " + from.to_string() + " overlaps " + std::string(kind) +
                                      (one ? clash->value.address().to_string() : clash->value.to_string()) + " at " +
                                      errors.place(clash->offset) +
                                      ", where no private host is; write the private hosts' own prefix");
  }
}

/// The first entry that holds a host is the host's: one that lies in an earlier one is never used.
void check_egress_order(const std::vector<DraftEgress>& egress, Errors& errors) {
  std::vector<const DraftEgress*> order;
  for (const DraftEgress& entry : egress) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const DraftEgress* a, const DraftEgress* b) {
    return std::tie(a->from.value, a->from.offset) < std::tie(b->from.value, b->from.offset);
  });
  std::vector<const DraftEgress*> around;  // those that hold the one at hand, the widest first
  for (const DraftEgress* entry : order) {
    while (!around.empty() && !around.back()->from.value.contains(entry->from.value)) around.pop_back();
    const auto first = std::min_element(around.begin(), around.end(), [](const DraftEgress* a, const DraftEgress* b) {
      return a->from.offset < b->from.offset;
    });
    const DraftEgress* earlier = first == around.end() ? entry : *first;
    around.push_back(entry);
    if (earlier->from.offset >= entry->from.offset) continue;
    const Placed<Ipv4Prefix>& outer = earlier->from;
    const bool same = outer.value == entry->from.value;
    errors.add(entry->from.offset,
               "\"from\": " + entry->from.value.to_string() +
                   (same ? " is there already" : " is never used: it lies in " + outer.value.to_string()) + " at " +
                   errors.place(outer.offset) +
                   (same ? "; remove one" : ", which comes first; put the narrower one first"));
  }
}

void check_egress_vips(const Draft& draft, Errors& errors) {
  std::vector<Ipv4Address> vips;
  std::vector<Ipv4Address> shared;
  for (const DraftVip& vip : draft.vips) {
    if (!vip.has_address && vip.vip.interface.empty()) return;  // perhaps that one is meant
    if (!vip.has_address) continue;
    vips.push_back(vip.vip.address);
    if (vip.vip.shared) shared.push_back(vip.vip.address);
  }
  if (draft.vips.empty()) return;  // said already
  std::sort(vips.begin(), vips.end());
  for (const DraftEgress& entry : draft.egress) {
    if (std::find(shared.begin(), shared.end(), entry.as.value) != shared.end()) {
      errors.add(entry.as.offset,
                 "\"as\": " + entry.as.value.to_string() +
                     " is a shared VIP, whose ports are this host's own; write a VIP that is not shared");
    }
    if (std::binary_search(vips.begin(), vips.end(), entry.as.value)) continue;
    errors.add(entry.as.offset, "\"as\": " + entry.as.value.to_string() +
                                    " is no VIP of this file; write one of \"vips\", or add it there");
  }
}

}  // namespace

void check_subnets(const DraftList<Ipv4Prefix>& subnets, Errors& errors) {
  PlacedPrefix outer;
  bool first = true;
  for (const PlacedPrefix& subnet : sorted(subnets)) {
    if (!first && outer.value.contains(subnet.value)) {
      const auto [earlier, later] =
          std::minmax(outer, subnet, [](const PlacedPrefix& a, const PlacedPrefix& b) { return a.offset < b.offset; });
      errors.add(later.offset, "\"subnet\": " + later.value.to_string() + " overlaps " + earlier.value.to_string() +
                                   " at " + errors.place(earlier.offset) + "; keep the wider one");
      continue;
    }
    outer = subnet;
    first = false;
  }
}

void check_addresses(const Draft& draft, Errors& errors) {
  const SubnetIndex subnets(draft.subnets);
  const bool subnets_known = draft.subnets.whole && !draft.subnets.entries.empty();
  const Use* owner = nullptr;  // of the address at hand: its first VIP or masquerade entry
  const std::vector<Use> uses = uses_of(draft);
  for (const Use& use : uses) {
    if (owner != nullptr && owner->address == use.address) {
      add_clash(*owner, use, errors);
      continue;
    }
    if (use.role != Role::backend) owner = &use;
    const PlacedPrefix* subnet = subnets.find(use.address);
    if (use.role == Role::vip && use.shared && subnet != nullptr) {
      errors.add(use.offset, "\"address\": the shared VIP " + use.address.to_string() + " lies in the tun's subnet " +
                                 subnet->value.to_string() + " (" + errors.place(subnet->offset) +
                                 "), which this host's own address must not; take it out of the subnet");
    }
    if (use.role == Role::vip && !use.shared && subnets_known && subnet == nullptr) {
      errors.add(use.offset, "\"address\": " + use.address.to_string() +
                                 " lies in no subnet of the tun (\"subnet\" at " +
                                 errors.place(draft.subnets.entries.front().offset) + "); add its prefix there, or " +
                                 quoted(use.address.to_string() + "/32"));
    }
    if (use.role == Role::backend && subnet != nullptr) {
      errors.add(use.offset, "\"address\": backend " + use.address.to_string() + " lies in the tun's subnet " +
                                 subnet->value.to_string() + " (" + errors.place(subnet->offset) +
                                 "), where no host is; use its private address");
    }
  }
}

void check_interfaces(const Draft& draft, const std::string& tun, Errors& errors) {
  std::map<std::string, std::size_t> places;
  for (const DraftVip& vip : draft.vips) {
    const std::string& interface = vip.vip.interface;
    if (interface.empty()) continue;
    if (interface == tun) {
      errors.add(vip.offset, "\"interface\": " + quoted(tun) +
                                 " is the TUN itself, which has no address to share; name an interface of this host");
    }
    const auto [earlier, is_new] = places.emplace(interface, vip.offset);
    if (is_new) continue;
    errors.add(vip.offset, "\"interface\": the address of " + quoted(interface) + " is a VIP already at " +
                               errors.place(earlier->second) + "; put all its services there");
  }
}

void check_egress(const Draft& draft, Errors& errors) {
  check_egress_hosts(draft, errors);
  check_egress_order(draft.egress, errors);
  check_egress_vips(draft, errors);
}

}  // namespace vipgate::config
