#include "nat/ruleset.h"

#include <algorithm>

#include "flow/hash.h"
#include "nat/maglev.h"

namespace vipgate {
namespace {

/// Balancing must not change from start to start or from gateway to gateway, so its hash has a fixed key.
constexpr std::uint64_t kBalanceSeed = 3;

std::uint64_t key_of(const Backend& backend) {
  return std::uint64_t{backend.address.value()} << 16 | backend.port.value_or(0);
}

bool share_network(const std::vector<Ipv4Prefix>& networks, Ipv4Address a, Ipv4Address b) {
  return std::any_of(networks.begin(), networks.end(),
                     [&](const Ipv4Prefix& network) { return network.contains(a) && network.contains(b); });
}

}  // namespace

Ruleset::Ruleset(Rules rules, std::uint32_t generation) : rules_(std::move(rules)), generation_(generation) {
  for (const Ipv4Address address : rules_.masquerade) roles_[address].masquerade = true;
  for (const Egress& egress : rules_.egress) {
    egress_.push_back({egress.from, egress.as, PrefixSet(egress.except)});
    roles_[egress.as].gives_out_ports = true;
  }
  for (std::size_t i = 0; i < rules_.vips.size(); ++i) {
    const auto vip = static_cast<std::uint16_t>(i);
    roles_[rules_.vips[i].address].vip = vip;
    vip_tables_.emplace_back();
    for (const Service& service : rules_.vips[i].services) add_service(vip, service);
  }
  for (VipTables& tables : vip_tables_) {
    for (PortTable* table : {&tables.tcp, &tables.udp}) {
      std::sort(table->entries.begin(), table->entries.end(),
                [](const PortEntry& a, const PortEntry& b) { return a.ports < b.ports; });
    }
  }
  std::vector<Limits> limits;
  for (const CompiledService& service : services_) limits.push_back(service.service->limits);
  load_ = std::make_unique<ServiceLoad>(std::move(limits));
}

void Ruleset::add_service(std::uint16_t vip, const Service& service) {
  const auto index = static_cast<std::uint16_t>(services_.size());
  for (const Protocol protocol : service.protocols) {
    PortTable& table = protocol == Protocol::tcp ? vip_tables_[vip].tcp : vip_tables_[vip].udp;
    if (service.wildcard) {
      table.wildcard = index;
    } else {
      for (const PortRange& ports : service.ports) table.entries.push_back({ports, index});
    }
  }

  if (service.helper != Helper::none) {
    has_helpers_ = true;
    roles_[rules_.vips[vip].address].gives_out_ports = true;
  }
  CompiledService compiled{.service = &service,
                           .vip = vip,
                           .table = {},
                           .masquerade = {},
                           .allow = PrefixSet(service.allow),
                           .deny = PrefixSet(service.deny)};
  std::vector<MaglevEntry> entries;
  for (const Backend& backend : service.backends) {
    entries.push_back({key_of(backend), backend.weight});
    compiled.masquerade.push_back(masquerade_for(service, backend.address));
    if (service.source == SourceMode::preserve) add_preserve_backend(service, backend);
  }
  if (entries.size() > 1) {
    compiled.table = maglev_table(entries);
  } else if (!entries.empty() && entries[0].weight > 0) {
    compiled.table = {0};
  }
  services_.push_back(std::move(compiled));
}

void Ruleset::add_preserve_backend(const Service& service, const Backend& backend) {
  AddressRole& role = roles_[backend.address];
  const bool first = !role.preserve_backend;
  role.preserve_backend = true;
  const bool anywhere = service.helper != Helper::none || (service.wildcard && !backend.port);
  if (anywhere || !has_egress(backend.address)) {
    role.serving = AddressRole::kEveryPort;
    return;
  }
  if (first) {
    role.serving = static_cast<std::uint16_t>(serving_.size());
    serving_.emplace_back();
  }
  if (role.serving == AddressRole::kEveryPort) return;
  for (const PortRange& ports : service.ports) {
    const auto at = backend.port.value_or(ports.first);
    serving_[role.serving].push_back({at, static_cast<std::uint16_t>(at + ports.last - ports.first)});
  }
}

const CompiledEgress* Ruleset::egress_of(Ipv4Address host) const {
  const auto found = std::find_if(egress_.begin(), egress_.end(),
                                  [&](const CompiledEgress& egress) { return egress.from.contains(host); });
  return found == egress_.end() ? nullptr : &*found;
}

const CompiledEgress* Ruleset::find_egress(Ipv4Address host, Ipv4Address destination) const {
  const CompiledEgress* egress = egress_of(host);
  const bool leaves = egress != nullptr && !owns(destination) && !egress->except.contains(destination);
  return leaves ? egress : nullptr;
}

bool Ruleset::serves_preserved(const AddressRole& role, std::uint16_t port) const {
  if (!role.preserve_backend || role.serving == AddressRole::kEveryPort) return role.preserve_backend;
  const auto& ports = serving_[role.serving];
  return std::any_of(ports.begin(), ports.end(), [&](const PortRange& range) { return range.contains(port); });
}

Ipv4Address Ruleset::masquerade_for(const Service& service, Ipv4Address backend) const {
  if (service.masquerade) return *service.masquerade;
  for (const Ipv4Address address : rules_.masquerade) {
    if (share_network(rules_.connected, address, backend)) return address;
  }
  return rules_.masquerade.empty() ? Ipv4Address() : rules_.masquerade.front();
}

bool Ruleset::owns(Ipv4Address address) const {
  const auto contains = [&](const Ipv4Prefix& subnet) { return subnet.contains(address); };
  return role_of(address).is_ours() || std::any_of(rules_.subnets.begin(), rules_.subnets.end(), contains);
}

std::optional<std::uint16_t> Ruleset::find_service(std::uint16_t vip, Protocol protocol, std::uint16_t port) const {
  const PortTable& table = protocol == Protocol::tcp ? vip_tables_[vip].tcp : vip_tables_[vip].udp;
  const auto after = std::upper_bound(table.entries.begin(), table.entries.end(), port,
                                      [](std::uint16_t p, const PortEntry& entry) { return p < entry.ports.first; });
  if (after != table.entries.begin() && std::prev(after)->ports.contains(port)) return std::prev(after)->service;
  const bool given_out = roles_.find(rules_.vips[vip].address)->second.allocates(port);
  return given_out ? std::nullopt : table.wildcard;
}

std::optional<std::uint16_t> Ruleset::choose_backend(std::uint16_t service, const Endpoint& client) const {
  const std::vector<std::uint16_t>& table = services_[service].table;
  if (table.empty()) return std::nullopt;
  if (table.size() == 1) return table[0];
  return table[KeyedHash(kBalanceSeed)(client) % table.size()];
}

Endpoint Ruleset::backend_endpoint(std::uint16_t service, std::uint16_t backend, std::uint16_t port) const {
  const Service& rule = *services_[service].service;
  const Backend& target = rule.backends[backend];
  if (!target.port) return {target.address, port};
  const auto range =
      std::find_if(rule.ports.begin(), rule.ports.end(), [&](const PortRange& ports) { return ports.contains(port); });
  const int offset = range == rule.ports.end() ? 0 : port - range->first;
  return {target.address, static_cast<std::uint16_t>(*target.port + offset)};
}

bool Ruleset::can_preserve(Ipv4Address client, Ipv4Address backend) const {
  const auto& own = rules_.host_addresses;
  if (std::find(own.begin(), own.end(), client) != own.end()) return false;
  return !share_network(rules_.connected, client, backend);
}

std::shared_ptr<const Ruleset> compile(Rules rules, std::uint32_t generation) {
  return std::make_shared<const Ruleset>(std::move(rules), generation);
}

const Service& service_at(const Ruleset& ruleset, std::uint16_t service) {
  return *ruleset.service(service).service;
}

const Rules& rules_of(const Ruleset& ruleset) {
  return ruleset.rules();
}

}  // namespace vipgate
