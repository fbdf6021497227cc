#include "nat/ruleset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "support/packet_builder.h"

namespace vipgate::test {
namespace {

constexpr std::uint16_t kVip = 0;

Backend backend(std::string_view at, std::optional<std::uint16_t> port = std::nullopt, std::uint32_t weight = 1) {
  return {.name = std::string(at), .address = address(at), .port = port, .weight = weight};
}

Service service(std::string name, std::vector<PortRange> ports, std::vector<Backend> backends) {
  Service made;
  made.name = std::move(name);
  made.protocols = {Protocol::tcp};
  made.ports = std::move(ports);
  made.backends = std::move(backends);
  return made;
}

Service wildcard(std::string name, std::vector<Backend> backends) {
  Service made = service(std::move(name), {kAllPorts}, std::move(backends));
  made.wildcard = true;
  return made;
}

Rules rules_with(std::vector<Service> services) {
  Rules rules;
  Vip vip;
  vip.address = address("203.0.113.10");
  vip.services = std::move(services);
  rules.vips.push_back(std::move(vip));
  rules.masquerade = {address("203.0.113.14")};
  return rules;
}

/// The name of the service at a port; "none" where there is none.
std::string at(const Ruleset& ruleset, std::uint16_t port, Protocol protocol = Protocol::tcp,
               std::uint16_t vip = kVip) {
  const auto found = ruleset.find_service(vip, protocol, port);
  return found ? ruleset.service(*found).service->name : "none";
}

TEST(RulesetServices, are_found_by_port_range_and_list) {
  const Ruleset ruleset(rules_with({service("web", {{80, 80}, {443, 443}}, {backend("10.0.0.2")}),
                                    service("range", {{8000, 8099}}, {backend("10.0.0.3")}),
                                    service("edges", {{1, 1}, {65535, 65535}}, {backend("10.0.0.4")})}),
                        1);
  const std::map<std::uint16_t, std::string> expected = {
      {1, "edges"},    {2, "none"},     {79, "none"},   {80, "web"},     {81, "none"},
      {442, "none"},   {443, "web"},    {444, "none"},  {7999, "none"},  {8000, "range"},
      {8050, "range"}, {8099, "range"}, {8100, "none"}, {65534, "none"}, {65535, "edges"}};
  for (const auto& [port, name] : expected) EXPECT_EQ(at(ruleset, port), name) << port;
}

TEST(RulesetServices, agree_with_a_table_of_all_ports) {
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::string> expected(65536, "none");
    std::vector<Service> services;
    for (std::uint32_t first = 1; first < 60000;) {
      const auto last = static_cast<std::uint16_t>(first + random() % 400);
      const std::string name = "s" + std::to_string(services.size());
      services.push_back(service(name, {{static_cast<std::uint16_t>(first), last}}, {backend("10.0.0.2")}));
      for (std::uint32_t port = first; port <= last; ++port) expected[port] = name;
      first = last + 1U + (random() % 2 == 0 ? 0 : static_cast<std::uint32_t>(random() % 300));
    }
    std::shuffle(services.begin(), services.end(), random);
    const bool has_wildcard = round % 2 == 0;
    if (has_wildcard) services.push_back(wildcard("rest", {backend("10.0.0.9")}));
    const Ruleset ruleset(rules_with(std::move(services)), 1);
    for (std::uint32_t port = 1; port <= 65535; ++port) {
      const std::string& name = expected[port] == "none" && has_wildcard ? "rest" : expected[port];
      ASSERT_EQ(at(ruleset, static_cast<std::uint16_t>(port)), name) << port;
    }
  }
}

TEST(RulesetServices, wildcard_yields_to_explicit_ports_of_its_protocol) {
  Service both = wildcard("all", {backend("10.0.0.9")});
  both.protocols = {Protocol::tcp, Protocol::udp};
  const Ruleset ruleset(rules_with({both, service("web", {{80, 80}}, {backend("10.0.0.2")})}), 1);
  EXPECT_EQ(at(ruleset, 80), "web");
  EXPECT_EQ(at(ruleset, 81), "all");
  EXPECT_EQ(at(ruleset, 80, Protocol::udp), "all");
}

TEST(RulesetServices, belong_to_their_vip_and_protocol) {
  Rules rules = rules_with({service("web", {{80, 80}}, {backend("10.0.0.2")})});
  Vip second;
  second.address = address("203.0.113.11");
  second.services = {service("other", {{80, 80}}, {backend("10.0.0.3")}),
                     service("dns", {{53, 53}}, {backend("10.0.0.4")})};
  second.services[1].protocols = {Protocol::udp};
  rules.vips.push_back(second);
  const Ruleset ruleset(std::move(rules), 1);
  EXPECT_EQ(at(ruleset, 80), "web");
  EXPECT_EQ(at(ruleset, 80, Protocol::tcp, 1), "other");
  EXPECT_EQ(at(ruleset, 53, Protocol::udp, 1), "dns");
  EXPECT_EQ(at(ruleset, 53, Protocol::tcp, 1), "none");
  EXPECT_EQ(at(ruleset, 53, Protocol::udp), "none");
  EXPECT_EQ(ruleset.service(*ruleset.find_service(1, Protocol::tcp, 80)).vip, 1);
}

TEST(RulesetPorts, backend_ports_follow_by_offset_within_their_range) {
  const Ruleset ruleset(
      rules_with({service("range", {{80, 80}, {8000, 8099}}, {backend("10.0.0.2", 9000), backend("10.0.0.3")})}), 1);
  EXPECT_EQ(ruleset.backend_endpoint(0, 0, 8000), endpoint("10.0.0.2:9000"));
  EXPECT_EQ(ruleset.backend_endpoint(0, 0, 8099), endpoint("10.0.0.2:9099"));
  EXPECT_EQ(ruleset.backend_endpoint(0, 0, 80), endpoint("10.0.0.2:9000"));
  EXPECT_EQ(ruleset.backend_endpoint(0, 1, 8042), endpoint("10.0.0.3:8042")) << "without a port it keeps the client's";
}

TEST(RulesetRoles, tell_vips_masquerade_addresses_and_preserve_backends) {
  Service preserved = service("mail", {{25, 25}}, {backend("10.0.0.3")});
  preserved.source = SourceMode::preserve;
  const Ruleset ruleset(rules_with({service("web", {{80, 80}}, {backend("10.0.0.2")}), preserved}), 1);
  EXPECT_TRUE(ruleset.role_of(address("203.0.113.10")).is_vip());
  EXPECT_TRUE(ruleset.role_of(address("203.0.113.10")).is_ours());
  EXPECT_FALSE(ruleset.role_of(address("203.0.113.10")).masquerade);
  EXPECT_TRUE(ruleset.role_of(address("203.0.113.14")).masquerade);
  EXPECT_TRUE(ruleset.role_of(address("203.0.113.14")).is_ours());
  EXPECT_TRUE(ruleset.role_of(address("10.0.0.3")).preserve_backend);
  EXPECT_FALSE(ruleset.role_of(address("10.0.0.3")).is_ours());
  EXPECT_FALSE(ruleset.role_of(address("10.0.0.2")).preserve_backend);
  EXPECT_FALSE(ruleset.role_of(address("198.51.100.7")).is_ours());
}

TEST(RulesetMasquerade, takes_the_backends_network_else_the_first_unless_told) {
  Service told = service("told", {{82, 82}}, {backend("10.0.1.2")});
  told.masquerade = address("203.0.113.13");
  Rules rules = rules_with(
      {service("mixed", {{80, 80}}, {backend("10.0.1.2"), backend("10.0.2.2"), backend("172.16.0.2")}), told});
  rules.masquerade = {address("203.0.113.14"), address("10.0.1.250"), address("10.0.2.250"), address("203.0.113.13")};
  rules.connected = {*Ipv4Prefix::parse("10.0.1.0/24"), *Ipv4Prefix::parse("10.0.2.0/24")};
  const Ruleset ruleset(std::move(rules), 1);
  EXPECT_EQ(ruleset.service(0).masquerade,
            (std::vector<Ipv4Address>{address("10.0.1.250"), address("10.0.2.250"), address("203.0.113.14")}));
  EXPECT_EQ(ruleset.service(1).masquerade, (std::vector<Ipv4Address>{address("203.0.113.13")}));
}

TEST(RulesetPreserve, is_not_for_this_host_or_the_backends_neighbours) {
  Rules rules = rules_with({});
  rules.connected = {*Ipv4Prefix::parse("10.0.0.0/24"), *Ipv4Prefix::parse("192.168.0.0/16")};
  rules.host_addresses = {address("198.51.100.1"), address("10.0.0.1")};
  const Ruleset ruleset(std::move(rules), 1);
  const auto can = [&](std::string_view client) { return ruleset.can_preserve(address(client), address("10.0.0.2")); };
  EXPECT_TRUE(can("198.51.100.7"));
  EXPECT_TRUE(can("192.168.1.1")) << "another of our networks: the backend answers through us";
  EXPECT_TRUE(can("10.0.1.1"));
  EXPECT_FALSE(can("198.51.100.1")) << "this host";
  EXPECT_FALSE(can("10.0.0.1"));
  EXPECT_FALSE(can("10.0.0.77")) << "a neighbour";
  EXPECT_FALSE(can("10.0.0.2")) << "the backend itself";
}

TEST(RulesetBalance, spreads_clients_by_weight_and_keeps_each_at_its_backend) {
  const std::vector<Backend> backends = {backend("10.0.0.2"), backend("10.0.0.3", 8080, 3),
                                         backend("10.0.0.4", std::nullopt, 0)};
  const Ruleset ruleset(rules_with({service("web", {{80, 80}}, backends)}), 1);
  const Ruleset next(rules_with({service("web", {{80, 80}}, backends)}), 2);
  std::map<std::uint16_t, int> counts;
  constexpr int kClients = 40000;
  for (int i = 0; i < kClients; ++i) {
    const Endpoint client{Ipv4Address(0xc6336400 + static_cast<std::uint32_t>(i) / 1000),
                          static_cast<std::uint16_t>(1024 + i % 1000)};
    const auto chosen = ruleset.choose_backend(0, client);
    ASSERT_TRUE(chosen);
    ASSERT_EQ(chosen, next.choose_backend(0, client)) << "the next generation, or another gateway, chooses alike";
    ++counts[*chosen];
  }
  EXPECT_NEAR(counts[0] / double{kClients}, 0.25, 0.02);
  EXPECT_NEAR(counts[1] / double{kClients}, 0.75, 0.02);
  EXPECT_EQ(counts[2], 0);
}

TEST(RulesetBalance, has_nobody_where_nobody_has_weight) {
  const Ruleset ruleset(
      rules_with({service("none", {{80, 80}}, {}), service("drained", {{81, 81}}, {backend("10.0.0.2", 80, 0)}),
                  service("all drained", {{82, 82}}, {backend("10.0.0.2", 80, 0), backend("10.0.0.3", 80, 0)}),
                  service("one", {{83, 83}}, {backend("10.0.0.2", 80, 7)})}),
      1);
  for (std::uint16_t i = 0; i < 3; ++i) EXPECT_FALSE(ruleset.choose_backend(i, endpoint("198.51.100.7:40000"))) << i;
  EXPECT_EQ(ruleset.choose_backend(3, endpoint("198.51.100.7:40000")), 0);
}

TEST(RulesetSuccession, balancers_go_on_where_nothing_changed_that_they_go_by) {
  const std::vector<Backend> backends = {backend("10.0.0.2"), backend("10.0.0.3"), backend("10.0.0.4")};
  const Rules rules = rules_with({service("web", {{80, 80}}, backends), service("mail", {{25, 25}}, backends)});
  const Ruleset first(rules, 1);
  Rules changed = rules;
  changed.vips[0].services[0].backends[1].down = true;
  changed.vips[0].services[1].backends[1].name = "other";
  changed.vips[0].services[1].ports = {{26, 26}};
  const Ruleset second(changed, 2, &first);
  EXPECT_NE(second.service(0).balancer, first.service(0).balancer);
  EXPECT_EQ(second.service(1).balancer, first.service(1).balancer);
  for (const auto& change : std::vector<void (*)(Service&)>{
           [](Service& s) { s.balance = Balance::round_robin; }, [](Service& s) { s.affinity = Affinity::client; },
           [](Service& s) { s.backends[0].weight = 2; }, [](Service& s) { s.backends[0].port = 1; },
           [](Service& s) { s.backends[0].backup = true; }, [](Service& s) { s.backends.pop_back(); }}) {
    Rules other = rules;
    change(other.vips[0].services[0]);
    EXPECT_NE(Ruleset(other, 2, &first).service(0).balancer, first.service(0).balancer);
  }
}

TEST(RulesetSuccession, loads_follow_vip_name_and_endpoint) {
  const Ruleset first(rules_with({service("web", {{80, 80}}, {backend("10.0.0.2"), backend("10.0.0.3", 8080)}),
                                  service("mail", {{25, 25}}, {backend("10.0.0.2")})}),
                      1);
  first.service(0).loads[1]->note_opened();
  Rules rules = rules_with(
      {service("names", {{53, 53}}, {backend("10.0.0.2")}), service("mail", {{25, 25}}, {backend("10.0.0.2")}),
       service("web", {{8000, 8000}},
               {backend("10.0.0.3", 8080, 7), backend("10.0.0.3"), backend("10.0.0.2"), backend("10.0.0.4")})});
  rules.vips.push_back(rules.vips[0]);
  rules.vips[1].address = address("203.0.113.11");
  const Ruleset second(rules, 2, &first);
  const auto& web = second.service(2).loads;
  EXPECT_EQ(web[0], first.service(0).loads[1]);
  EXPECT_EQ(signs_of(second, 2, 0).opened, 1U);
  EXPECT_NE(web[1], first.service(0).loads[1]) << "another port";
  EXPECT_EQ(web[2], first.service(0).loads[0]);
  EXPECT_EQ(web[3].use_count(), 1) << "new";
  EXPECT_EQ(second.service(1).loads[0], first.service(1).loads[0]);
  EXPECT_EQ(second.service(0).loads[0].use_count(), 1) << "a new service";
  EXPECT_EQ(second.service(5).loads[2].use_count(), 1) << "another VIP";
}

TEST(Ruleset, keeps_rules_and_generation) {
  const auto ruleset = compile(rules_with({service("web", {{80, 80}}, {backend("10.0.0.2")})}), 7);
  EXPECT_EQ(ruleset->generation(), 7U);
  EXPECT_EQ(service_at(*ruleset, 0).name, "web");
  EXPECT_EQ(rules_of(*ruleset).vips.size(), 1U);
}

}  // namespace
}  // namespace vipgate::test
