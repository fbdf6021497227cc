#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "config/conflicts.h"
#include "config/ports.h"
#include "config/reader.h"

namespace vipgate::config {
namespace {

/// Ports of one service, for one protocol.
struct Claim {
  PortRange range;
  std::size_t offset = 0;
  const DraftService* service = nullptr;

  bool operator<(const Claim& other) const { return std::tie(range, offset) < std::tie(other.range, other.offset); }
};

/// Two claims by their places, the earlier first, and the protocols that they clash in.
using Clashes = std::map<std::pair<std::size_t, std::size_t>, std::pair<Claim, std::string>>;

void find_clashes(std::vector<Claim>& claims, const std::string& protocol, Clashes& clashes) {
  std::sort(claims.begin(), claims.end());
  const auto range_of = [](const Claim& claim) { return claim.range; };
  for_each_overlap(claims, range_of, [&](const Claim& a, const Claim& b) {
    if (a.service == b.service) return;  // said where the list of ports was read
    const auto [earlier, later] = std::minmax(a, b, [](const Claim& x, const Claim& y) { return x.offset < y.offset; });
    auto& [claim, protocols] = clashes[{earlier.offset, later.offset}];
    claim = later;
    protocols += (protocols.empty() ? "" : " and ") + protocol;
  });
}

void check_ports(const DraftVip& vip, Errors& errors) {
  Clashes clashes;
  for (const auto& [protocol, name] : {std::pair(Protocol::tcp, "tcp"), std::pair(Protocol::udp, "udp")}) {
    std::vector<Claim> explicit_ports;
    std::vector<Claim> wildcards;
    for (const DraftService& service : vip.services) {
      const auto& protocols = service.service.protocols;
      if (std::find(protocols.begin(), protocols.end(), protocol) == protocols.end()) continue;
      std::vector<Claim>& claims = service.ports.wildcard ? wildcards : explicit_ports;
      for (const auto& range : service.ports.ranges) claims.push_back({range.value, range.offset, &service});
    }
    find_clashes(explicit_ports, name, clashes);
    find_clashes(wildcards, name, clashes);
  }
  const std::string of_vip = ") of VIP " + name_of(vip.vip) + " overlaps the service at ";
  for (const auto& [places, clash] : clashes) {
    const auto& [claim, protocols] = clash;
    std::string what = "\"port\": ";
    what += claim.service->ports.wildcard ? quoted("*") : to_string(claim.range);
    what.append(" (").append(protocols).append(of_vip).append(errors.place(places.first));
    what += "; a port belongs to one service";
    errors.add(places.second, std::move(what));
  }
}

/// Ports that the VIP gives out itself, to egress or a helper, are no service's.
void check_allocated_ports(const DraftVip& vip, const std::vector<DraftEgress>& egress, Errors& errors) {
  std::string user;
  for (const DraftService& service : vip.services) {
    if (service.service.helper == Helper::none) continue;
    user = "the data connections of the helper at " + errors.place(service.helper_offset);
  }
  for (const DraftEgress& entry : egress) {
    if (entry.as.value == vip.vip.address) user = "the egress at " + errors.place(entry.as.offset);
  }
  if (user.empty()) return;
  for (const DraftService& service : vip.services) {
    if (service.ports.wildcard) continue;
    for (const Placed<PortRange>& range : service.ports.ranges) {
      if (range.value.last < kAllocatedPorts.first) continue;
      errors.add(range.offset, "\"port\": " + to_string(range.value) + " of VIP " + vip.vip.address.to_string() +
                                   ": it gives out " + to_string(kAllocatedPorts) + " itself, to " + user +
                                   "; serve on lower ports, or on another VIP");
    }
  }
}

struct Name {
  std::string_view text;
  std::size_t offset = 0;
  bool written = false;

  bool operator<(const Name& other) const { return std::tie(text, offset) < std::tie(other.text, other.offset); }
};

void check_names(std::vector<Name> names, const std::string& whose, Errors& errors) {
  std::sort(names.begin(), names.end());
  const Name* first = nullptr;
  for (const Name& name : names) {
    if (first == nullptr || first->text != name.text) {
      first = &name;
    } else if (first->written || name.written) {
      // Two names of ours clash only with the ports or addresses that they are made of, which is said elsewhere.
      errors.add(name.offset, "\"name\": " + quoted(name.text) + " is the name of another " + whose + " at " +
                                  errors.place(first->offset) + "; rename one");
    }
  }
}

/// The same host and port twice. A backend without a port keeps the service's, if that is one port.
void check_endpoints(const DraftService& service, Errors& errors) {
  using Target = std::tuple<Ipv4Address, std::uint16_t, std::size_t>;
  const auto& ranges = service.ports.ranges;
  const bool single = ranges.size() == 1 && ranges.front().value.first == ranges.front().value.last;
  const std::uint16_t own_port = single ? ranges.front().value.first : std::uint16_t{0};
  std::vector<Target> targets;
  for (const DraftBackend& backend : service.backends) {
    targets.emplace_back(backend.backend.address, backend.backend.port.value_or(own_port), backend.offset);
  }
  std::sort(targets.begin(), targets.end());
  const Target* first = nullptr;
  for (const Target& target : targets) {
    const auto& [address, port, offset] = target;
    if (first == nullptr || std::get<0>(*first) != address || std::get<1>(*first) != port) {
      first = &target;
      continue;
    }
    const std::string text = port == 0 ? address.to_string() : Endpoint{address, port}.to_string();
    errors.add(offset, "\"address\": backend " + text + " is in this service already at " +
                           errors.place(std::get<2>(*first)) + "; give one of them the sum of the weights");
  }
}

/// A backup stands in for others.
void check_backups(const DraftService& service, Errors& errors) {
  if (service.backends.empty()) return;
  const bool all = std::all_of(service.backends.begin(), service.backends.end(),
                               [](const DraftBackend& backend) { return backend.backend.backup; });
  if (!all) return;
  errors.add(
      service.backends.front().offset,
      "\"backup\": every backend of the service is one, and there is none to stand in for; leave \"backup\" out at "
      "those that take flows first");
}

}  // namespace

void check_services(const Draft& draft, Errors& errors) {
  std::vector<Name> names;
  for (const DraftVip& vip : draft.vips) {
    check_ports(vip, errors);
    check_allocated_ports(vip, draft.egress, errors);
    for (const DraftService& service : vip.services) {
      names.push_back({service.service.name, service.named_at.value_or(service.offset), service.named_at.has_value()});
    }
  }
  check_names(std::move(names), "service", errors);
}

void check_backends(const Draft& draft, Errors& errors) {
  for (const DraftVip& vip : draft.vips) {
    for (const DraftService& service : vip.services) {
      check_endpoints(service, errors);
      check_backups(service, errors);
      std::vector<Name> names;
      for (const DraftBackend& backend : service.backends) {
        names.push_back(
            {backend.backend.name, backend.named_at.value_or(backend.offset), backend.named_at.has_value()});
      }
      check_names(std::move(names), "backend of this service", errors);
    }
  }
}

}  // namespace vipgate::config
