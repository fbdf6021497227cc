#include <algorithm>
#include <array>
#include <string>
#include <tuple>

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

  bool operator<(const Use& other) const {
    return std::tie(address, role, offset) < std::tie(other.address, other.role, other.offset);
  }
};

std::vector<Use> uses_of(const Draft& draft) {
  std::vector<Use> uses;
  for (const DraftVip& vip : draft.vips) {
    if (vip.has_address) uses.push_back({vip.vip.address, Role::vip, vip.offset});
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
    if (use.role == Role::vip && subnets_known && subnet == nullptr) {
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

}  // namespace vipgate::config
