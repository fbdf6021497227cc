#include "nat/ruleset.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"

namespace vipgate {
namespace {

bool share_network(const std::vector<Ipv4Prefix>& networks, Ipv4Address a, Ipv4Address b) {
  return std::any_of(networks.begin(), networks.end(),
                     [&](const Ipv4Prefix& network) { return network.contains(a) && network.contains(b); });
}

/// What a backend of the service's predecessor carries goes on; a new backend begins with nothing.
std::vector<std::shared_ptr<BackendLoad>> loads_of(const Service& service, const CompiledService* predecessor) {
  std::vector<std::shared_ptr<BackendLoad>> loads;
  loads.reserve(service.backends.size());
  for (std::size_t i = 0; i < service.backends.size(); ++i) {
    const Backend& backend = service.backends[i];
    const auto is_same = [&](const Backend& other) {
      return other.address == backend.address && other.port == backend.port;
    };
    if (predecessor == nullptr) {
      loads.push_back(std::make_shared<BackendLoad>());
      continue;
    }
    const std::vector<Backend>& before = predecessor->service->backends;
    auto same = i < before.size() && is_same(before[i]) ? before.begin() + static_cast<std::ptrdiff_t>(i)
                                                        : std::find_if(before.begin(), before.end(), is_same);
    const auto index = static_cast<std::size_t>(same - before.begin());
    loads.push_back(same == before.end() ? std::make_shared<BackendLoad>() : predecessor->loads[index]);
  }
  return loads;
}

}  // namespace

/// Finds what a service was in the ruleset before.
class Ruleset::Predecessors {
 public:
  explicit Predecessors(const Ruleset* previous) : previous_(previous) {}

  /// nullptr: it is new. `index` is its own, which most often was the predecessor's too.
  const CompiledService* find(Ipv4Address vip, const std::string& name, std::uint16_t index) {
    if (previous_ == nullptr) return nullptr;
    const auto& services = previous_->services_;
    if (index < services.size() && services[index].service->name == name && vip_of(services[index]) == vip) {
      return &services[index];
    }
    if (by_name_.empty()) {
      for (const CompiledService& service : services) by_name_[{vip_of(service), service.service->name}] = &service;
    }
    const auto found = by_name_.find({vip, name});
    return found == by_name_.end() ? nullptr : found->second;
  }

 private:
  Ipv4Address vip_of(const CompiledService& service) const { return previous_->vip(service.vip).address; }

  const Ruleset* previous_;
  absl::flat_hash_map<std::pair<Ipv4Address, std::string>, const CompiledService*> by_name_;
};

Ruleset::Ruleset(Rules rules, std::uint32_t generation, const Ruleset* previous)
    : rules_(std::move(rules)), generation_(generation) {
  Predecessors predecessors(previous);
  for (const Ipv4Address address : rules_.masquerade) roles_.at(address).masquerade = true;
  for (const Egress& egress : rules_.egress) {
    egress_.push_back({egress.from, egress.as, PrefixSet(egress.except)});
    roles_.at(egress.as).gives_out_ports = true;
  }
  for (std::size_t i = 0; i < rules_.vips.size(); ++i) {
    const auto vip = static_cast<std::uint16_t>(i);
    if (rules_.vips[i].address != Ipv4Address()) {
      AddressRole& role = roles_.at(rules_.vips[i].address);
      role.vip = vip;
      role.shared = rules_.vips[i].shared;
    }
    const Ping ping = rules_.vips[i].ping;
    vip_tables_.emplace_back().answers_ping =
        ping == Ping::always || (ping == Ping::healthy && is_served(rules_.vips[i]));
    for (const Service& service : rules_.vips[i].services) add_service(vip, service, predecessors);
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

void Ruleset::add_service(std::uint16_t vip, const Service& service, Predecessors& predecessors) {
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
    roles_.at(rules_.vips[vip].address).gives_out_ports = true;
  }
  const CompiledService* predecessor = predecessors.find(rules_.vips[vip].address, service.name, index);
  BalanceInput input = BalanceInput::of(service);
  const bool unchanged = predecessor != nullptr && predecessor->balancer->input() == input;
  CompiledService compiled{
      .service = &service,
      .vip = vip,
      .balancer = unchanged ? predecessor->balancer : std::make_shared<const Balancer>(std::move(input)),
      .loads = loads_of(service, predecessor),
      .masquerade = {},
      .allow = PrefixSet(service.allow),
      .deny = PrefixSet(service.deny)};
  compiled.masquerade.reserve(service.backends.size());
  for (const Backend& backend : service.backends) {
    compiled.masquerade.push_back(masquerade_for(service, backend.address));
    if (service.source == SourceMode::preserve) add_preserve_backend(service, backend);
  }
  services_.push_back(std::move(compiled));
}

void Ruleset::add_preserve_backend(const Service& service, const Backend& backend) {
  AddressRole& role = roles_.at(backend.address);
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
  const bool given_out = roles_[rules_.vips[vip].address].allocates(port);
  return given_out ? std::nullopt : table.wildcard;
}

std::optional<std::uint16_t> Ruleset::foresee_backend(std::uint16_t service, const Endpoint& client) const {
  return services_[service].balancer->foresee(client);
}

std::optional<std::uint16_t> Ruleset::choose_backend(std::uint16_t service, const Endpoint& client) const {
  return services_[service].balancer->choose(client, services_[service].loads);
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
  if (std::find(own.begin(), own.end(), client) != own.end() || role_of(client).shared) return false;
  return !share_network(rules_.connected, client, backend);
}

std::string name_of(const Vip& vip) {
  return vip.interface.empty() ? vip.address.to_string() : vip.interface;
}

bool is_served(const Vip& vip) {
  const auto is_up = [](const Backend& backend) { return !backend.down; };
  return std::any_of(vip.services.begin(), vip.services.end(), [&](const Service& service) {
    return std::any_of(service.backends.begin(), service.backends.end(), is_up);
  });
}

std::shared_ptr<const Ruleset> compile(Rules rules, std::uint32_t generation, const Ruleset* previous) {
  return std::make_shared<const Ruleset>(std::move(rules), generation, previous);
}

BackendSigns signs_of(const Ruleset& ruleset, std::uint16_t service, std::uint16_t backend) {
  return ruleset.service(service).loads[backend]->signs();
}

void continue_signs(const Ruleset& ruleset, std::uint16_t service, std::uint16_t backend, const BackendSigns& earlier) {
  ruleset.service(service).loads[backend]->add_past(earlier);
}

void lend_counts(const Ruleset& from, const Ruleset& to) {
  to.load().copy(from.load());
}

const Service& service_at(const Ruleset& ruleset, std::uint16_t service) {
  return *ruleset.service(service).service;
}

std::optional<std::uint16_t> find_service(const Ruleset& ruleset, Protocol protocol, const Endpoint& endpoint) {
  const AddressRole role = ruleset.role_of(endpoint.address);
  if (!role.is_vip() || role.allocates(endpoint.port) || protocol == Protocol::icmp) return std::nullopt;
  return ruleset.find_service(role.vip, protocol, endpoint.port);
}

const Rules& rules_of(const Ruleset& ruleset) {
  return ruleset.rules();
}

}  // namespace vipgate
