#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "flow/tuple.h"
#include "nat/backend_load.h"
#include "nat/balancer.h"
#include "nat/prefix_set.h"
#include "nat/role_table.h"
#include "nat/service_load.h"
#include "vipgate/engine.h"
#include "vipgate/rules.h"
#include "vipgate/steering.h"

namespace vipgate {

/// A service ready for use.
struct CompiledService {
  const Service* service = nullptr;
  std::uint16_t vip = 0;
  std::shared_ptr<const Balancer> balancer;
  std::vector<std::shared_ptr<BackendLoad>> loads;  ///< by backend
  std::vector<Ipv4Address> masquerade;              ///< by backend: the source address it sees of us
  PrefixSet allow;
  PrefixSet deny;

  bool allows(Ipv4Address client) const { return allow.contains(client) && !deny.contains(client); }
};

/// Private hosts whose flows leave with a VIP, ready for use.
struct CompiledEgress {
  Ipv4Prefix from;
  Ipv4Address as;
  PrefixSet except;
};

/// An immutable set of rules with look-up tables, shared by all workers.
class Ruleset {
 public:
  /// As compile().
  Ruleset(Rules rules, std::uint32_t generation, const Ruleset* previous = nullptr);
  Ruleset(const Ruleset&) = delete;
  Ruleset& operator=(const Ruleset&) = delete;

  const Rules& rules() const { return rules_; }
  std::uint32_t generation() const { return generation_; }

  AddressRole role_of(Ipv4Address address) const { return roles_[address]; }
  /// Whether packets to the address are routed to the TUN: it is one of ours, or an empty one of our subnets.
  bool owns(Ipv4Address address) const;

  /// Whether an address with this role answers clients at the port, as a preserve backend. Of a backend that opens
  /// flows of its own (egress) these are the ports of its services; all, if a helper's data connections may come from
  /// any.
  bool serves_preserved(const AddressRole& role, std::uint16_t port) const;

  /// By address.
  std::vector<SteeredAddress> steered_addresses() const;

  /// By which rule a private host's flow to `destination` leaves; none: by no rule.
  const CompiledEgress* find_egress(Ipv4Address host, Ipv4Address destination) const;
  bool has_egress(Ipv4Address host) const { return egress_of(host) != nullptr; }
  bool has_helpers() const { return has_helpers_; }

  const Vip& vip(std::uint16_t index) const { return rules_.vips[index]; }
  bool answers_ping(std::uint16_t vip) const { return vip_tables_[vip].answers_ping; }
  const CompiledService& service(std::uint16_t index) const { return services_[index]; }
  std::size_t service_count() const { return services_.size(); }

  /// The service at a port of a VIP; explicit ports go before the wildcard, which has none of the ports given out.
  std::optional<std::uint16_t> find_service(std::uint16_t vip, Protocol protocol, std::uint16_t port) const;

  /// What the services with limits carry. This, the loads of backends and the turns that balancers take are the things
  /// here that change.
  ServiceLoad& load() const { return *load_; }

  /// As choose_backend(), where the client alone decides; none where turns or loads do.
  std::optional<std::uint16_t> foresee_backend(std::uint16_t service, const Endpoint& client) const;
  /// The backend for a new flow of `client`; none where no backend takes new flows.
  std::optional<std::uint16_t> choose_backend(std::uint16_t service, const Endpoint& client) const;

  /// Where the backend serves what the client asked for at `port` of the VIP.
  Endpoint backend_endpoint(std::uint16_t service, std::uint16_t backend, std::uint16_t port) const;

  /// Whether a client's address can be shown to the backend: not that of this host (a shared VIP is one) or of the
  /// backend's neighbours, since replies to those would not come back through the gateway.
  bool can_preserve(Ipv4Address client, Ipv4Address backend) const;

 private:
  struct PortEntry {
    PortRange ports;
    std::uint16_t service;
  };
  /// The services of one VIP and protocol: disjoint ranges, sorted.
  struct PortTable {
    std::vector<PortEntry> entries;
    std::optional<std::uint16_t> wildcard;
  };
  struct VipTables {
    PortTable tcp;
    PortTable udp;
    bool answers_ping = false;
  };

  class Predecessors;

  void add_service(std::uint16_t vip, const Service& service, Predecessors& predecessors);
  void add_preserve_backend(const Service& service, const Backend& backend);
  const CompiledEgress* egress_of(Ipv4Address host) const;
  Ipv4Address masquerade_for(const Service& service, Ipv4Address backend) const;

  Rules rules_;
  std::uint32_t generation_;
  RoleTable roles_;
  std::vector<VipTables> vip_tables_;
  std::vector<CompiledService> services_;
  std::vector<CompiledEgress> egress_;
  std::vector<std::vector<PortRange>> serving_;  ///< lists that AddressRole::serving names
  std::unique_ptr<ServiceLoad> load_;
  bool has_helpers_ = false;
};

}  // namespace vipgate
