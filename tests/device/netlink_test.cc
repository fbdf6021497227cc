#include "device/netlink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "device/lock.h"
#include "namespace.h"

namespace vipgate {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Ipv4Address address(const char* text) {
  return Ipv4Address::parse(text).value();
}
Ipv4Prefix prefix(const char* text) {
  return Ipv4Prefix::parse(text).value();
}

std::unique_ptr<NetlinkKernel> open_kernel() {
  absl::StatusOr<std::unique_ptr<NetlinkKernel>> kernel = NetlinkKernel::open();
  EXPECT_TRUE(kernel.ok()) << kernel.status();
  return *std::move(kernel);
}

void make_devices() {
  shell("ip link add eth1 mtu 1400 txqueuelen 77 type veth peer name peer1");
  shell("ip link add br0 type bridge; ip link set peer1 master br0; ip link set eth1 up");
  shell("ip addr add 10.0.0.1/24 dev eth1; ip addr add 10.9.0.1 peer 10.9.0.2/32 dev eth1");
}

NAMESPACE_TEST(Netlink, a_lock_is_waited_for_whose_holder_lets_go) {
  const auto kernel = open_kernel();
  absl::StatusOr<UniqueFd> held = take_namespace_lock("protocol/86");
  ASSERT_TRUE(held.ok()) << held.status();
  EXPECT_TRUE(absl::IsAlreadyExists(kernel->lock("protocol/86").status())) << "but not for ever";
  std::thread ending([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    held->reset();
  });
  EXPECT_TRUE(kernel->lock("protocol/86").ok());
  ending.join();
}

NAMESPACE_TEST(Netlink, lists_links_with_kind_and_master) {
  make_devices();
  const auto kernel = open_kernel();
  const std::vector<Link> links = kernel->links().value();
  const auto find = [&](const std::string& name) {
    return *std::find_if(links.begin(), links.end(), [&](const Link& link) { return link.name == name; });
  };
  EXPECT_TRUE(find("lo").loopback);
  const Link eth1 = find("eth1");
  EXPECT_EQ(eth1.kind, "veth");
  EXPECT_TRUE(eth1.up);
  EXPECT_FALSE(eth1.loopback);
  EXPECT_EQ(eth1.mtu, 1400U);
  EXPECT_EQ(eth1.queue_length, 77U);
  EXPECT_EQ(eth1.master, "");
  EXPECT_EQ(find("peer1").master, "br0");
  EXPECT_FALSE(find("peer1").up);
}

NAMESPACE_TEST(Netlink, tells_tuns_apart) {
  shell("ip tuntap add single mode tun; ip tuntap add several mode tun multi_queue; ip tuntap add tap mode tap");
  std::map<std::string, std::pair<bool, bool>> seen;
  const auto kernel = open_kernel();
  const std::vector<Link> links = kernel->links().value();
  for (const Link& link : links) {
    if (link.kind == "tun") seen[link.name] = {link.tun, link.multi_queue};
  }
  const std::map<std::string, std::pair<bool, bool>> expected{
      {"several", {true, true}}, {"single", {true, false}}, {"tap", {false, false}}};
  EXPECT_EQ(seen, expected);
}

NAMESPACE_TEST(Netlink, lists_addresses_and_peers) {
  make_devices();
  const auto kernel = open_kernel();
  const HostAddress on_wire{"eth1", address("10.0.0.1"), prefix("10.0.0.0/24"), AddressScope::global};
  const HostAddress point_to_point{"eth1", address("10.9.0.1"), prefix("10.9.0.2/32"), AddressScope::global};
  const HostAddress loopback{"lo", address("127.0.0.1"), prefix("127.0.0.0/8"), AddressScope::host};
  EXPECT_THAT(kernel->addresses().value(), ::testing::UnorderedElementsAre(on_wire, point_to_point, loopback));
  EXPECT_EQ(on_wire.to_string(), "10.0.0.1/24 dev eth1");
  EXPECT_EQ(point_to_point.to_string(), "10.9.0.1 peer 10.9.0.2/32 dev eth1");
}

NAMESPACE_TEST(Netlink, routes_come_back_as_added) {
  make_devices();
  const auto kernel = open_kernel();
  Route wanted{prefix("203.0.113.8/29"), "eth1", std::nullopt, kMainTable, 86};
  ASSERT_TRUE(kernel->add_route(wanted).ok());
  EXPECT_THAT(kernel->routes(kMainTable).value(), Contains(wanted));
  EXPECT_THAT(shell("ip route show 203.0.113.8/29"), HasSubstr("203.0.113.8/29 dev eth1 proto 86 scope link"));
  EXPECT_TRUE(absl::IsAlreadyExists(kernel->add_route(wanted)));

  Route other = wanted;
  other.protocol = 87;
  EXPECT_TRUE(absl::IsNotFound(kernel->remove_route(other))) << "a route of another owner stays";
  EXPECT_TRUE(kernel->remove_route(wanted).ok());
  EXPECT_THAT(kernel->routes(kMainTable).value(), Not(Contains(wanted)));
  EXPECT_TRUE(absl::IsNotFound(kernel->remove_route(wanted)));
}

NAMESPACE_TEST(Netlink, default_route_in_a_table_of_its_own) {
  make_devices();
  const auto kernel = open_kernel();
  EXPECT_THAT(kernel->routes(1187).value(), IsEmpty()) << "a table that is not there has no routes";
  const Route wanted{Ipv4Prefix(), "eth1", std::nullopt, 1187, 86};
  ASSERT_TRUE(kernel->add_route(wanted).ok());
  EXPECT_THAT(kernel->routes(1187).value(), ElementsAre(wanted));
  EXPECT_THAT(kernel->routes(kMainTable).value(), Not(Contains(wanted)));
  EXPECT_TRUE(kernel->remove_route(wanted).ok());
}

NAMESPACE_TEST(Netlink, lists_gateways_metrics_types_and_every_next_hop) {
  make_devices();
  shell("ip route add 10.5.0.0/16 via 10.0.0.9 metric 7; ip route add prohibit 10.6.0.0/16");
  shell("ip route add 10.7.0.0/16 nexthop via 10.0.0.8 nexthop dev eth1");
  const std::vector<Route> routes = open_kernel()->routes(kMainTable).value();
  constexpr std::uint8_t kBoot = 3;
  EXPECT_THAT(routes, Contains(Route{prefix("10.5.0.0/16"), "eth1", address("10.0.0.9"), kMainTable, kBoot,
                                     RouteType::unicast, AddressScope::global, 7}));
  EXPECT_THAT(routes, Contains(Route{prefix("10.6.0.0/16"), "", std::nullopt, kMainTable, kBoot, RouteType::prohibit,
                                     AddressScope::global}));
  EXPECT_EQ(std::count_if(routes.begin(), routes.end(),
                          [](const Route& r) { return r.destination == prefix("10.7.0.0/16"); }),
            2);
}

NAMESPACE_TEST(Netlink, rules_come_back_as_added) {
  make_devices();
  const auto kernel = open_kernel();
  std::vector<PolicyRule> wanted(4);
  wanted[0] = {.priority = 100, .incoming = "eth1", .table = kMainTable, .protocol = 86};
  wanted[1] = {.priority = 101, .incoming = "eth1", .from = prefix("10.0.0.2/31"), .table = 1187, .protocol = 86};
  wanted[2] = {.priority = 102,
               .incoming = "lo",
               .ip_protocol = 1,
               .first_port = 772,
               .last_port = 772,
               .table = 187,
               .protocol = 86};
  wanted[3] = {.priority = 103,
               .incoming = "absent0",
               .to = prefix("10.0.0.2/32"),
               .action = RuleAction::prohibit,
               .protocol = 86};
  for (const PolicyRule& rule : wanted) {
    const absl::Status status = kernel->add_rule(rule);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_THAT(kernel->rules().value(), Contains(rule));
    EXPECT_TRUE(absl::IsAlreadyExists(kernel->add_rule(rule)));
  }
  const std::string listed = shell("ip rule");
  EXPECT_THAT(listed, HasSubstr("101:\tfrom 10.0.0.2/31 iif eth1 lookup 1187 proto 86"));
  EXPECT_THAT(listed, HasSubstr("102:\tfrom all iif lo ipproto icmp dport 772 lookup 187 proto 86"));
  EXPECT_THAT(listed, HasSubstr("103:\tfrom all to 10.0.0.2 iif absent0 [detached] prohibit proto 86"));
  EXPECT_EQ(wanted[1].to_string(), "101: from 10.0.0.2/31 iif eth1 lookup 1187 proto 86");
  EXPECT_EQ(wanted[3].to_string(), "103: from all to 10.0.0.2/32 iif absent0 prohibit proto 86");

  PolicyRule foreign = wanted[0];
  foreign.protocol = 3;
  EXPECT_TRUE(absl::IsNotFound(kernel->remove_rule(foreign))) << "a rule of another owner stays";
  for (const PolicyRule& rule : wanted) EXPECT_TRUE(kernel->remove_rule(rule).ok());
  EXPECT_EQ(kernel->rules().value().size(), 3U);
  EXPECT_TRUE(absl::IsNotFound(kernel->remove_rule(wanted[0])));
}

NAMESPACE_TEST(Netlink, marks_rules_with_conditions_that_it_does_not_know) {
  shell("ip rule add pref 200 fwmark 1 lookup 10 proto 86");
  shell("ip rule add pref 201 oif lo lookup 10 proto 86");
  shell("ip rule add pref 202 not from 10.0.0.0/8 lookup 10 proto 86");
  shell("ip rule add pref 203 from 10.0.0.0/8 lookup 10 proto 86");
  const std::vector<PolicyRule> rules = open_kernel()->rules().value();
  for (const PolicyRule& rule : rules) {
    EXPECT_EQ(rule.more, rule.priority >= 200 && rule.priority < 203) << rule.to_string();
  }
}

NAMESPACE_TEST(Netlink, changes_and_deletes_links) {
  make_devices();
  const auto kernel = open_kernel();
  ASSERT_TRUE(kernel->change_link("eth1", {.up = false, .mtu = 1300, .queue_length = 55}).ok());
  const std::string shown = shell("ip link show eth1");
  EXPECT_THAT(shown, HasSubstr("mtu 1300"));
  EXPECT_THAT(shown, HasSubstr("qlen 55"));
  EXPECT_THAT(shown, HasSubstr("state DOWN"));
  ASSERT_TRUE(kernel->change_link("eth1", {.up = true}).ok());
  EXPECT_THAT(shell("ip link show eth1"), HasSubstr("UP"));
  EXPECT_THAT(shell("ip link show eth1"), HasSubstr("mtu 1300"));
  ASSERT_TRUE(kernel->delete_link("eth1").ok());
  EXPECT_TRUE(absl::IsNotFound(kernel->delete_link("eth1")));
  EXPECT_TRUE(absl::IsNotFound(kernel->change_link("eth1", {.up = true})));
}

NAMESPACE_TEST(Netlink, adds_and_removes_addresses) {
  make_devices();
  const auto kernel = open_kernel();
  const HostAddress wanted{"eth1", address("169.254.86.1"), prefix("169.254.86.1/32"), AddressScope::link};
  ASSERT_TRUE(kernel->add_address(wanted).ok());
  EXPECT_THAT(kernel->addresses().value(), Contains(wanted));
  EXPECT_TRUE(absl::IsAlreadyExists(kernel->add_address(wanted)));
  ASSERT_TRUE(kernel->remove_address(wanted).ok());
  EXPECT_TRUE(absl::IsNotFound(kernel->remove_address(wanted)));
}

NAMESPACE_TEST(Netlink, errors_say_what_the_kernel_said) {
  const auto kernel = open_kernel();
  absl::Status status = kernel->add_route({prefix("203.0.113.8/29"), "absent0"});
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(status.ToString(), HasSubstr("absent0"));
  shell("ip link add eth1 type veth peer name peer1");
  status = kernel->add_route({prefix("203.0.113.8/29"), "eth1"});  // not up
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.ToString(), HasSubstr("cannot add route 203.0.113.8/29 dev eth1"));
  EXPECT_THAT(status.ToString(), HasSubstr("Device for nexthop is not up")) << "the kernel's own words";
  EXPECT_TRUE(kernel->links().ok()) << "an error spoils no later call";
}

NAMESPACE_TEST(Netlink, notices_changes) {
  const auto kernel = open_kernel();
  EXPECT_TRUE(kernel->changed()) << "the first time, nothing is known";
  EXPECT_FALSE(kernel->changed());
  shell("ip rule add pref 300 lookup 10");
  EXPECT_TRUE(kernel->changed());
  EXPECT_FALSE(kernel->changed());
  for (int i = 0; i < 3; ++i) shell("ip route add 10." + std::to_string(i) + ".0.0/16 dev lo");
  EXPECT_TRUE(kernel->changed());
  EXPECT_FALSE(kernel->changed());
  EXPECT_TRUE(kernel->links().ok());
  EXPECT_FALSE(kernel->changed()) << "reading changes nothing";
}

NAMESPACE_TEST(Netlink, lists_thousands) {
  make_devices();
  shell(
      "for a in $(seq 0 19); do for b in $(seq 0 249); do echo route add 10.50.$a.$b/32 dev eth1; done; done | ip "
      "-batch -");
  EXPECT_GT(open_kernel()->routes(kMainTable).value().size(), 5000U);
}

NAMESPACE_TEST(Netlink, two_namespaces_have_two_identities) {
  const auto first = open_kernel();
  EXPECT_EQ(first->identity().value(), open_kernel()->identity().value());
  ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
  EXPECT_NE(first->identity().value(), open_kernel()->identity().value());
}

TEST(Netlink, without_rights_says_so) {
  if (::geteuid() != 0) GTEST_SKIP() << "skipped: needs root";
  in_new_namespace([] {
    const auto kernel = open_kernel();
    ASSERT_EQ(::setuid(65534), 0);
    const absl::Status status = kernel->add_rule({.priority = 100, .table = 10, .protocol = 86});
    EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
    EXPECT_THAT(status.ToString(), HasSubstr("needs root or CAP_NET_ADMIN"));
    const absl::Status sysctl = kernel->write_sysctl("net/ipv4/ip_forward", "1");
    EXPECT_TRUE(absl::IsPermissionDenied(sysctl)) << sysctl;
  });
}

}  // namespace
}  // namespace vipgate
