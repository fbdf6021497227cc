#include "runtime/kernel_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "kernel_example.h"

namespace vipgate {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Route connected(const std::string& prefix, const std::string& device) {
  return {.destination = net(prefix), .device = device, .protocol = kByKernel};
}

KernelView example_view() {
  KernelView view;
  view.links = {{.index = 1, .name = "lo", .up = true, .loopback = true},
                {.index = 2, .name = "eth0", .up = true},
                {.index = 3, .name = "eth1", .up = true},
                {.index = 4, .name = "tun0", .kind = "tun"}};
  view.addresses = {{"lo", ip("127.0.0.1"), net("127.0.0.0/8"), AddressScope::host},
                    {"eth0", ip("198.51.100.1"), net("198.51.100.0/24"), AddressScope::global},
                    {"eth1", ip("10.0.0.1"), net("10.0.0.0/24"), AddressScope::global}};
  view.main_routes = {
      connected("198.51.100.0/24", "eth0"),
      connected("10.0.0.0/24", "eth1"),
      {.destination = {}, .device = "eth0", .gateway = ip("198.51.100.254"), .protocol = kByAdministrator}};
  return view;
}

std::vector<std::string> sysctls_of(const std::vector<Wanted<Sysctl>>& wanted) {
  std::vector<std::string> texts;
  for (const auto& sysctl : wanted) texts.push_back(absl::StrCat(sysctl.value.key, "=", sysctl.value.value));
  return texts;
}

KernelPlan good(const Config& config, const KernelView& view) {
  absl::StatusOr<KernelPlan> plan = plan_kernel(config, view);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? *plan : KernelPlan();
}
std::string refused(const Config& config, const KernelView& view) {
  const absl::StatusOr<KernelPlan> plan = plan_kernel(config, view);
  EXPECT_FALSE(plan.ok());
  return std::string(plan.status().message());
}

TEST(KernelPlan, masquerade_needs_routes_and_the_guard) {
  const KernelPlan plan = good(example_config(), example_view());
  EXPECT_EQ(plan.device, "tun0");
  EXPECT_EQ(plan.mtu, 1400U);
  EXPECT_THAT(routes_of(plan), ElementsAre("203.0.113.8/29 dev tun0 proto 86", "203.0.113.10/32 dev tun0 proto 86",
                                           "203.0.113.14/32 dev tun0 proto 86"));
  EXPECT_THAT(rules_of(plan), ElementsAre("100: from all iif tun0 lookup main proto 86",
                                          "105: from all to 10.0.0.2/31 iif eth0 prohibit proto 86",
                                          "105: from all to 10.0.0.8/32 iif eth0 prohibit proto 86"));
  EXPECT_THAT(sysctls_of(plan.device_sysctls),
              ElementsAre("net/ipv4/conf/tun0/rp_filter=0", "net/ipv4/conf/tun0/accept_local=1"));
  EXPECT_THAT(sysctls_of(plan.sysctls), ElementsAre("net/ipv4/ip_forward=1", "net/ipv4/conf/tun0/forwarding=1"));
  EXPECT_FALSE(plan.address.has_value());
  EXPECT_THAT(plan.warnings, IsEmpty());
}

TEST(KernelPlan, preserve_diverts_replies_by_prefix_and_device) {
  const KernelPlan plan = good(example_config(SourceMode::preserve), example_view());
  EXPECT_THAT(routes_of(plan), Contains("default dev tun0 table 187 proto 86"));
  EXPECT_THAT(rules_of(plan), ElementsAre("100: from all iif tun0 lookup main proto 86",
                                          "101: from 10.0.0.2/31 iif eth1 lookup 187 proto 86",
                                          "101: from 10.0.0.8/32 iif eth1 lookup 187 proto 86",
                                          "104: from all iif lo ipproto icmp dport 768-1023 lookup 187 proto 86",
                                          "104: from all iif lo ipproto icmp dport 2816-3071 lookup 187 proto 86",
                                          "104: from all iif eth1 ipproto icmp lookup 187 proto 86",
                                          "105: from all to 10.0.0.2/31 iif eth0 prohibit proto 86",
                                          "105: from all to 10.0.0.8/32 iif eth0 prohibit proto 86"));
}

TEST(KernelPlan, only_preserve_backends_are_diverted) {
  Config config = example_config();
  config.rules.vips[0].services.push_back(example_service("mail", SourceMode::preserve, {"10.0.0.3"}));
  const KernelPlan plan = good(config, example_view());
  EXPECT_THAT(rules_of(plan), Contains("101: from 10.0.0.3/32 iif eth1 lookup 187 proto 86"));
  EXPECT_THAT(rules_of(plan), Not(Contains(HasSubstr("from 10.0.0.2"))));
}

TEST(KernelPlan, numbers_come_from_the_configuration) {
  Config config = example_config(SourceMode::preserve, {"10.0.0.2"});
  config.kernel = {.rule_priority = 500, .table = 300, .protocol = 99, .guard = false};
  config.tun.name = "vip0";
  KernelView view = example_view();
  view.links[3].name = "vip0";
  const KernelPlan plan = good(config, view);
  EXPECT_THAT(rules_of(plan), ElementsAre("500: from all iif vip0 lookup main proto 99",
                                          "501: from 10.0.0.2/32 iif eth1 lookup 300 proto 99",
                                          "504: from all iif lo ipproto icmp dport 768-1023 lookup 300 proto 99",
                                          "504: from all iif lo ipproto icmp dport 2816-3071 lookup 300 proto 99",
                                          "504: from all iif eth1 ipproto icmp lookup 300 proto 99"));
  EXPECT_THAT(routes_of(plan), Contains("default dev vip0 table 300 proto 99"));
}

TEST(KernelPlan, routes_that_are_equal_are_wanted_once) {
  Config config = example_config();
  config.rules.subnets = {net("203.0.113.10/32"), net("203.0.113.14/32")};
  EXPECT_THAT(routes_of(good(config, example_view())),
              ElementsAre("203.0.113.10/32 dev tun0 proto 86", "203.0.113.14/32 dev tun0 proto 86"));
}

TEST(KernelPlan, no_guard_where_the_host_forwarded_before) {
  KernelView view = example_view();
  view.forwarding_before = true;
  EXPECT_THAT(rules_of(good(example_config(), view)), Not(Contains(HasSubstr("prohibit"))));
  Config config = example_config();
  config.kernel.guard = false;
  EXPECT_THAT(rules_of(good(config, example_view())), Not(Contains(HasSubstr("prohibit"))));
}

TEST(KernelPlan, the_guard_stands_on_every_client_side_device) {
  KernelView view = example_view();
  view.links.push_back({.index = 5, .name = "wlan0"});  // down: it may come up
  view.links.push_back({.index = 6, .name = "br0", .kind = "bridge"});
  view.links.push_back({.index = 7, .name = "port0", .master = "br0"});  // what enters here comes in by br0
  view.links.push_back({.index = 8, .name = "red", .kind = "vrf"});
  view.links.push_back({.index = 9, .name = "eth9", .master = "red"});
  std::set<std::string> guarded;
  for (const auto& rule : good(example_config(), view).rules) {
    if (rule.value.action == RuleAction::prohibit) guarded.insert(rule.value.incoming);
  }
  EXPECT_THAT(guarded, ElementsAre("br0", "eth0", "eth9", "red", "wlan0"));
}

TEST(KernelPlan, one_armed_gateway_has_no_client_side) {
  KernelView view = example_view();
  view.main_routes[1].device = "eth0";
  view.links.erase(view.links.begin() + 2);
  EXPECT_THAT(rules_of(good(example_config(), view)), Not(Contains(HasSubstr("prohibit"))));
}

TEST(KernelPlan, the_longest_prefix_with_the_least_metric_leads_to_a_backend) {
  const auto device_of = [](const std::vector<Route>& routes) {
    KernelView view = example_view();
    view.links.push_back({.index = 5, .name = "eth2"});
    view.links.push_back({.index = 6, .name = "eth3"});
    view.main_routes.insert(view.main_routes.end(), routes.begin(), routes.end());
    std::vector<std::string> devices;
    for (const auto& rule : good(example_config(SourceMode::preserve, {"10.0.0.2"}), view).rules) {
      if (rule.value.from == net("10.0.0.2/32")) devices.push_back(rule.value.incoming);
    }
    return devices;
  };
  EXPECT_THAT(device_of({}), ElementsAre("eth1"));
  EXPECT_THAT(device_of({{.destination = net("10.0.0.2/32"), .device = "eth2"}}), ElementsAre("eth2"));
  EXPECT_THAT(device_of({{.destination = net("10.0.0.0/8"), .device = "eth2"}}), ElementsAre("eth1"));
  EXPECT_THAT(device_of({{.destination = net("10.0.0.0/24"), .device = "eth2", .metric = 7}}), ElementsAre("eth1"));
  // Two next hops: replies may come in by either.
  EXPECT_THAT(device_of({{.destination = net("10.0.0.2/32"), .device = "eth2"},
                         {.destination = net("10.0.0.2/32"), .device = "eth3"}}),
              ElementsAre("eth2", "eth3"));
  // The main table has no route to what is forbidden.
  EXPECT_THAT(device_of({{.destination = net("10.0.0.2/32"), .type = RouteType::blackhole}}), IsEmpty());
}

TEST(KernelPlan, an_address_without_a_route_leads_to_its_network) {
  KernelView view = example_view();
  view.main_routes.clear();
  EXPECT_THAT(rules_of(good(example_config(SourceMode::preserve), view)),
              Contains("101: from 10.0.0.2/31 iif eth1 lookup 187 proto 86"));
}

TEST(KernelPlan, backends_out_of_reach_are_warned_of) {
  KernelView view = example_view();
  view.main_routes.pop_back();  // the default route
  KernelPlan plan = good(example_config(SourceMode::preserve, {"10.0.0.2", "192.0.2.1"}), view);
  EXPECT_THAT(plan.warnings, ElementsAre(AllOf(HasSubstr("192.0.2.1"), HasSubstr("has no route"))));
  EXPECT_THAT(rules_of(plan), Not(Contains(HasSubstr("192.0.2.1"))));

  plan = good(example_config(SourceMode::preserve, {"10.0.0.1"}), view);
  EXPECT_THAT(plan.warnings, ElementsAre(AllOf(HasSubstr("10.0.0.1"), HasSubstr("is this host itself"))));

  plan = good(example_config(SourceMode::preserve, {"203.0.113.9"}), view);
  EXPECT_THAT(plan.warnings, ElementsAre(AllOf(HasSubstr("203.0.113.9"), HasSubstr("routed to tun0"))));
  view.main_routes.push_back(connected("203.0.113.9/32", "eth1"));  // a route of its own helps
  EXPECT_THAT(good(example_config(SourceMode::preserve, {"203.0.113.9"}), view).warnings, IsEmpty());
}

TEST(KernelPlan, an_own_route_of_before_leads_to_no_backend) {
  KernelView view = example_view();  // the subnet was larger before a reload
  view.main_routes.push_back({.destination = net("10.0.0.0/28"), .device = "tun0", .protocol = 86});
  EXPECT_THAT(good(example_config(), view).warnings, IsEmpty());
}

TEST(KernelPlan, identical_foreign_routes_conflict) {
  KernelView view = example_view();
  view.main_routes.push_back(connected("203.0.113.8/29", "eth1"));
  EXPECT_THAT(refused(example_config(), view), AllOf(HasSubstr("203.0.113.8/29"), HasSubstr("eth1"),
                                                     HasSubstr("proto 2"), HasSubstr("ip route delete")));
  view.main_routes.back() = {
      .destination = net("203.0.113.14/32"), .device = "eth1", .protocol = 86};  // our tag, but not our device
  EXPECT_THAT(refused(example_config(), view),
              HasSubstr("masquerade address 203.0.113.14/32 is already routed to eth1"));
  view.main_routes.back() = {.destination = net("203.0.113.10/32"), .device = "tun0", .protocol = kByAdministrator};
  EXPECT_THAT(refused(example_config(), view), HasSubstr("VIP 203.0.113.10/32"));
  view.main_routes.back().metric = 20;
  good(example_config(), view);  // a routing daemon's, beside ours and to the same place
  view.main_routes.back().device = "eth1";
  EXPECT_THAT(refused(example_config(), view), HasSubstr("VIP 203.0.113.10/32"));
  view.main_routes.back() = {
      .destination = net("203.0.113.8/29"), .protocol = kByAdministrator, .type = RouteType::blackhole};
  EXPECT_THAT(refused(example_config(), view), HasSubstr("blackhole"));
}

TEST(KernelPlan, wider_narrower_and_own_routes_do_not_conflict) {
  KernelView view = example_view();
  for (const char* prefix : {"203.0.113.0/24", "203.0.113.8/30", "203.0.113.11/32"})
    view.main_routes.push_back(connected(prefix, "eth1"));
  view.main_routes.push_back({.destination = net("203.0.113.8/29"), .device = "tun0", .protocol = 86});
  good(example_config(), view);
  view.main_routes.back().protocol = 87;
  refused(example_config(), view);
  view.earlier_protocols = {87};
  good(example_config(), view);
}

TEST(KernelPlan, addresses_of_this_host_conflict) {
  KernelView view = example_view();
  view.addresses.push_back({"eth0", ip("203.0.113.10"), net("203.0.113.10/32"), AddressScope::global});
  EXPECT_THAT(refused(example_config(), view),
              AllOf(HasSubstr("VIP 203.0.113.10"), HasSubstr("eth0"), HasSubstr("ip address delete")));
  view.addresses.back().address = ip("203.0.113.14");
  EXPECT_THAT(refused(example_config(), view), HasSubstr("masquerade address 203.0.113.14"));
}

TEST(KernelPlan, a_table_that_others_use_conflicts_with_preserve_only) {
  KernelView view = example_view();
  view.table_routes = {{.destination = {}, .device = "eth0", .table = 187, .protocol = kByAdministrator}};
  EXPECT_THAT(refused(example_config(SourceMode::preserve), view),
              AllOf(HasSubstr("table 187"), HasSubstr("kernel.table")));
  good(example_config(), view);
  view.table_routes = {{.destination = {}, .device = "tun0", .table = 187, .protocol = 86}};
  good(example_config(SourceMode::preserve), view);
}

TEST(KernelPlan, reverse_path_filter_and_ipv6) {
  KernelView view = example_view();
  view.reverse_filter = true;
  view.ipv6 = true;
  const KernelPlan plan = good(example_config(), view);
  EXPECT_THAT(sysctls_of(plan.device_sysctls),
              ElementsAre("net/ipv6/conf/tun0/disable_ipv6=1", "net/ipv4/conf/tun0/rp_filter=2",
                          "net/ipv4/conf/tun0/accept_local=1"));
  ASSERT_TRUE(plan.address.has_value());
  EXPECT_EQ(plan.address->value.to_string(), "169.254.86.1/32 dev tun0 scope link");
}

TEST(KernelPlan, too_many_rules_are_refused_with_the_remedy) {
  const auto backends = [](int count, int step) {
    std::vector<std::string> addresses;
    for (int i = 0; i < count; ++i) addresses.push_back(absl::StrCat("10.0.", i * step / 256, ".", i * step % 256));
    return addresses;
  };
  KernelView view = example_view();
  view.main_routes[1].destination = net("10.0.0.0/16");
  view.addresses[2] = {"eth1", ip("10.0.255.1"), net("10.0.0.0/16"), AddressScope::global};
  good(example_config(SourceMode::preserve, backends(64, 2)), view);
  EXPECT_THAT(refused(example_config(SourceMode::preserve, backends(65, 2)), view),
              AllOf(HasSubstr("65 policy rules"), HasSubstr("adjacent")));
  good(example_config(SourceMode::preserve, backends(1024, 1)), view);  // four blocks

  EXPECT_THAT(good(example_config(SourceMode::masquerade, backends(65, 2)), view).warnings,
              ElementsAre(HasSubstr("65 policy rules")));
  EXPECT_THAT(refused(example_config(SourceMode::masquerade, backends(257, 2)), view), HasSubstr("kernel.guard"));
}

TEST(KernelPlan, numbers_that_are_the_kernels_own_are_refused) {
  Config config = example_config();
  for (std::uint8_t protocol = 0; protocol < 5; ++protocol) {
    config.kernel.protocol = protocol;
    EXPECT_THAT(refused(config, example_view()), HasSubstr("kernel.protocol"));
  }
  config = example_config();
  for (const std::uint32_t table : {0U, 253U, 254U, 255U}) {
    config.kernel.table = table;
    EXPECT_THAT(refused(config, example_view()), HasSubstr("kernel.table"));
  }
  config = example_config();
  for (const std::uint32_t priority : {0U, 32761U, 32766U, 0xffffffffU}) {
    config.kernel.rule_priority = priority;
    EXPECT_THAT(refused(config, example_view()), HasSubstr("Choose 1 to 32760"));
  }
  config.kernel.rule_priority = 32760;
  good(config, example_view());
}

const std::vector<std::string> kPrivate{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"};

Egress egress(const std::string& from, const std::vector<std::string>& except = {}) {
  Egress entry{.from = net(from), .as = ip("203.0.113.10"), .except = {}};
  for (const std::string& prefix : except) entry.except.push_back(net(prefix));
  return entry;
}

Config with_egress(const std::vector<Egress>& entries, SourceMode source = SourceMode::masquerade) {
  Config config = example_config(source, {"10.0.0.2"});
  config.rules.egress = entries;
  return config;
}

/// The diverting rules alone, without their table and tag.
std::vector<std::string> diversions(const Config& config, const KernelView& view) {
  std::vector<std::string> texts;
  for (const std::string& text : rules_of(good(config, view))) {
    if (text.starts_with("101") || text.starts_with("102") || text.starts_with("103")) {
      texts.push_back(text.substr(0, text.find(" proto")));
    }
  }
  return texts;
}

/// Two more private networks, and a third behind a router in the first.
KernelView wide_view() {
  KernelView view = example_view();
  view.links.push_back({.index = 5, .name = "eth2", .up = true});
  view.links.push_back({.index = 6, .name = "wlan0", .up = true});
  view.addresses.push_back({"eth2", ip("10.0.1.1"), net("10.0.1.0/24"), AddressScope::global});
  view.main_routes.push_back(connected("10.0.1.0/24", "eth2"));
  view.main_routes.push_back({.destination = net("10.5.0.0/16"), .device = "eth1", .gateway = ip("10.0.0.9")});
  return view;
}

TEST(KernelPlanEgress, needs_a_table_exceptions_and_the_guard) {
  const KernelPlan plan = good(with_egress({egress("10.0.0.0/24", kPrivate)}), example_view());
  EXPECT_THAT(routes_of(plan), Contains("default dev tun0 table 187 proto 86"));
  EXPECT_THAT(rules_of(plan), ElementsAre("100: from all iif tun0 lookup main proto 86",
                                          "102: from 10.0.0.0/24 to 10.0.0.0/8 iif eth1 lookup main proto 86",
                                          "102: from 10.0.0.0/24 to 172.16.0.0/12 iif eth1 lookup main proto 86",
                                          "102: from 10.0.0.0/24 to 192.168.0.0/16 iif eth1 lookup main proto 86",
                                          "103: from 10.0.0.0/24 iif eth1 lookup 187 proto 86",
                                          "104: from all iif lo ipproto icmp dport 768-1023 lookup 187 proto 86",
                                          "104: from all iif lo ipproto icmp dport 2816-3071 lookup 187 proto 86",
                                          "105: from all to 10.0.0.0/24 iif eth0 prohibit proto 86"));
  EXPECT_THAT(plan.warnings, IsEmpty());
}

TEST(KernelPlanEgress, replies_of_preserve_backends_come_first) {
  EXPECT_THAT(diversions(with_egress({egress("10.0.0.0/24", {"10.0.0.0/8"})}, SourceMode::preserve), example_view()),
              ElementsAre("101: from 10.0.0.2/32 iif eth1 lookup 187",
                          "102: from 10.0.0.0/24 to 10.0.0.0/8 iif eth1 lookup main",
                          "103: from 10.0.0.0/24 iif eth1 lookup 187"))
      << "a client at 10.9.9.9 is an exception of egress, and none of the VIP";
}

TEST(KernelPlanEgress, every_device_that_leads_to_a_part_of_the_prefix) {
  EXPECT_THAT(diversions(with_egress({egress("10.0.0.0/16")}), wide_view()),
              ElementsAre("103: from 10.0.0.0/16 iif eth1 lookup 187", "103: from 10.0.0.0/16 iif eth2 lookup 187"));
  EXPECT_THAT(diversions(with_egress({egress("10.5.7.0/24")}), wide_view()),
              ElementsAre("103: from 10.5.7.0/24 iif eth1 lookup 187"))
      << "behind a router";
  KernelView view = wide_view();
  view.main_routes.push_back({.destination = net("10.0.0.0/8"), .device = "wlan0"});
  EXPECT_THAT(diversions(with_egress({egress("10.0.0.0/23")}), view),
              ElementsAre("103: from 10.0.0.0/23 iif eth1 lookup 187", "103: from 10.0.0.0/23 iif eth2 lookup 187",
                          "103: from 10.0.0.0/23 iif wlan0 lookup 187"))
      << "the covering route, too";
  view.main_routes.push_back({.destination = net("10.0.0.0/9"), .device = "eth0"});
  EXPECT_THAT(diversions(with_egress({egress("10.0.0.0/23")}), view),
              Contains("103: from 10.0.0.0/23 iif eth0 lookup 187"));
  EXPECT_THAT(diversions(with_egress({egress("10.0.0.0/23")}), view), Not(Contains(HasSubstr("wlan0"))))
      << "only the longest that covers it";
}

TEST(KernelPlanEgress, neither_the_tun_nor_this_host_itself) {
  KernelView view = wide_view();
  view.main_routes.push_back({.destination = net("10.0.2.0/24"), .device = "tun0", .protocol = kByAdministrator});
  view.main_routes.push_back({.destination = net("10.0.3.0/24"), .device = "lo"});
  view.main_routes.push_back({.destination = net("10.0.4.0/24"), .type = RouteType::blackhole});
  view.addresses.push_back({"wlan0", ip("10.0.5.1"), net("10.0.5.1/32"), AddressScope::global});
  EXPECT_THAT(diversions(with_egress({egress("10.0.0.0/16")}), view),
              ElementsAre("103: from 10.0.0.0/16 iif eth1 lookup 187", "103: from 10.0.0.0/16 iif eth2 lookup 187"));
}

TEST(KernelPlanEgress, an_address_without_a_route_leads_to_its_network) {
  KernelView view = wide_view();
  std::erase_if(view.main_routes, [](const Route& route) { return route.device == "eth2"; });
  EXPECT_THAT(diversions(with_egress({egress("10.0.1.0/24")}), view),
              ElementsAre("103: from 10.0.1.0/24 iif eth2 lookup 187"));
}

TEST(KernelPlanEgress, adjacent_prefixes_are_aggregated) {
  EXPECT_THAT(diversions(with_egress({egress("10.0.0.0/25", {"10.0.0.0/8"}), egress("10.0.0.128/25", {"10.0.0.0/8"})}),
                         example_view()),
              ElementsAre("102: from 10.0.0.0/24 to 10.0.0.0/8 iif eth1 lookup main",
                          "103: from 10.0.0.0/24 iif eth1 lookup 187"));
}

TEST(KernelPlanEgress, an_exception_that_a_narrower_entry_has_not_is_left_to_the_engine) {
  const auto plan = [](const std::vector<std::string>& narrow, const std::vector<std::string>& wide) {
    return diversions(with_egress({egress("10.0.0.16/28", narrow), egress("10.0.0.0/24", wide)}), example_view());
  };
  EXPECT_THAT(plan({}, {"192.168.0.0/16"}), ElementsAre("103: from 10.0.0.0/24 iif eth1 lookup 187"));
  EXPECT_THAT(plan({"192.168.0.0/24"}, {"192.168.0.0/16"}),
              ElementsAre("102: from 10.0.0.16/28 to 192.168.0.0/24 iif eth1 lookup main",
                          "103: from 10.0.0.0/24 iif eth1 lookup 187"));
  EXPECT_THAT(plan({"192.168.0.0/16"}, {"192.168.0.0/16"}),
              ElementsAre("102: from 10.0.0.0/24 to 192.168.0.0/16 iif eth1 lookup main",
                          "103: from 10.0.0.0/24 iif eth1 lookup 187"));
}

TEST(KernelPlanEgress, the_default_route_alone_is_warned_of_and_used) {
  KernelPlan plan = good(with_egress({egress("192.0.2.0/24", {"10.0.0.0/8"})}), example_view());
  EXPECT_THAT(plan.warnings, ElementsAre(AllOf(HasSubstr("192.0.2.0/24"), HasSubstr("default route"), HasSubstr("eth0"),
                                               HasSubstr("mistyped"))));
  EXPECT_THAT(rules_of(plan), Contains("103: from 192.0.2.0/24 iif eth0 lookup 187 proto 86"));
  EXPECT_THAT(rules_of(plan), Contains("105: from all to 10.0.0.2/32 iif eth0 prohibit proto 86"))
      << "clients are there";
  EXPECT_THAT(rules_of(plan), Not(Contains(HasSubstr("to 192.0.2.0/24"))));

  KernelView view = example_view();
  view.main_routes.pop_back();
  plan = good(with_egress({egress("192.0.2.0/24")}), view);
  EXPECT_THAT(plan.warnings, ElementsAre(AllOf(HasSubstr("192.0.2.0/24"), HasSubstr("has no route"))));
  EXPECT_THAT(rules_of(plan), Not(Contains(HasSubstr("192.0.2.0/24"))));
  EXPECT_THAT(rules_of(plan), Contains(HasSubstr("dport 768-1023")));
}

TEST(KernelPlanEgress, the_guard_leaves_open_what_leads_to_exceptions) {
  const auto guarded = [](const Config& config, const KernelView& view) {
    std::vector<std::string> texts;
    for (const auto& rule : good(config, view).rules) {
      if (rule.value.action != RuleAction::prohibit) continue;
      texts.push_back(absl::StrCat(rule.value.incoming, " ", rule.value.to.to_string()));
    }
    return texts;
  };
  EXPECT_THAT(
      guarded(with_egress({egress("10.0.1.0/24")}), wide_view()),
      ElementsAre("eth0 10.0.0.2/32", "eth0 10.0.1.0/24", "eth2 10.0.0.2/32", "wlan0 10.0.0.2/32", "wlan0 10.0.1.0/24"))
      << "the hosts' own device is no client side of theirs, and backends may answer";
  KernelView view = wide_view();
  view.main_routes.push_back(connected("192.168.7.0/24", "wlan0"));
  EXPECT_THAT(guarded(with_egress({egress("10.0.1.0/24", {"192.168.0.0/16"})}), view),
              ElementsAre("eth0 10.0.0.2/32", "eth0 10.0.1.0/24", "eth2 10.0.0.2/32", "wlan0 10.0.0.2/32"));
  EXPECT_THAT(guarded(with_egress({egress("10.0.1.0/24", {"192.168.7.9"})}), view),
              ElementsAre("eth0 10.0.0.2/32", "eth0 10.0.1.0/24", "eth2 10.0.0.2/32", "wlan0 10.0.0.2/32"))
      << "the covering route leads there";
  Config open = with_egress({egress("10.0.1.0/24")});
  open.kernel.guard = false;
  EXPECT_THAT(guarded(open, wide_view()), IsEmpty());
  view = wide_view();
  view.forwarding_before = true;
  EXPECT_THAT(guarded(with_egress({egress("10.0.1.0/24")}), view), IsEmpty());
}

TEST(KernelPlanEgress, a_table_that_others_use_conflicts) {
  KernelView view = example_view();
  view.table_routes = {{.destination = {}, .device = "eth0", .table = 187, .protocol = kByAdministrator}};
  EXPECT_THAT(refused(with_egress({egress("10.0.0.0/24")}), view), HasSubstr("kernel.table"));
}

TEST(KernelPlanEgress, too_many_rules_are_refused_together) {
  KernelView view = example_view();
  view.main_routes[1].destination = net("10.0.0.0/16");
  const auto config = [&](int count) {  // beside one for the preserve backend
    std::vector<Egress> entries;
    for (int i = 0; i < count; ++i) entries.push_back(egress(absl::StrCat("10.0.", 2 * i + 1, ".0/24")));
    return with_egress(entries, SourceMode::preserve);
  };
  good(config(63), view);
  EXPECT_THAT(refused(config(64), view), AllOf(HasSubstr("65 policy rules"), HasSubstr("egress")));
  Config exceptions = config(31);
  for (Egress& entry : exceptions.rules.egress) entry.except = {net("10.0.0.0/8")};
  good(exceptions, view);
  for (Egress& entry : exceptions.rules.egress) entry.except.push_back(net("192.168.0.0/16"));
  EXPECT_THAT(refused(exceptions, view), HasSubstr("94 policy rules"));
}

std::vector<Ipv4Prefix> prefixes(const std::vector<std::string>& texts) {
  std::vector<Ipv4Prefix> result;
  for (const std::string& text : texts) result.push_back(net(text));
  return result;
}

TEST(Aggregate, joins_siblings_only) {
  EXPECT_EQ(aggregate(prefixes({"10.0.0.2", "10.0.0.3"})), prefixes({"10.0.0.2/31"}));
  EXPECT_EQ(aggregate(prefixes({"10.0.0.1", "10.0.0.2"})), prefixes({"10.0.0.1", "10.0.0.2"}));
  EXPECT_EQ(aggregate(prefixes({"10.0.0.3", "10.0.0.0", "10.0.0.2", "10.0.0.1", "10.0.0.1"})),
            prefixes({"10.0.0.0/30"}));
  EXPECT_EQ(aggregate(prefixes({"10.0.0.0/24", "10.0.0.7", "10.0.1.0/24"})), prefixes({"10.0.0.0/23"}));
  EXPECT_EQ(aggregate(prefixes({"0.0.0.0/1", "128.0.0.0/1"})), prefixes({"0.0.0.0/0"}));
  EXPECT_EQ(aggregate({}), prefixes({}));
}

TEST(Aggregate, covers_the_same_addresses_and_cannot_be_shortened) {
  std::mt19937 random(86);
  for (int round = 0; round < 500; ++round) {
    std::set<std::uint32_t> addresses;
    const std::size_t count = random() % 40;
    for (std::size_t i = 0; i < count; ++i) addresses.insert(static_cast<std::uint32_t>(0x0a000000 + random() % 64));
    std::vector<Ipv4Prefix> input;
    for (const std::uint32_t address : addresses) input.emplace_back(Ipv4Address(address), 32);
    std::shuffle(input.begin(), input.end(), random);
    const std::vector<Ipv4Prefix> output = aggregate(input);
    std::set<std::uint32_t> covered;
    for (const Ipv4Prefix prefix : output) {
      for (std::uint32_t a = prefix.address().value(); a <= prefix.last().value(); ++a) {
        EXPECT_TRUE(covered.insert(a).second) << "twice: " << Ipv4Address(a).to_string();
      }
    }
    EXPECT_EQ(covered, addresses);
    for (const Ipv4Prefix prefix : output) {
      const Ipv4Prefix sibling(Ipv4Address(prefix.address().value() ^ (1U << (32 - prefix.length()))), prefix.length());
      EXPECT_THAT(output, Not(Contains(sibling)));
    }
  }
}

TEST(HostNetworks, are_what_the_interfaces_say) {
  KernelView view = example_view();
  view.addresses.push_back({"lo", ip("192.0.2.5"), net("192.0.2.5/32"), AddressScope::global});
  view.addresses.push_back({"tun0", ip("169.254.86.1"), net("169.254.86.1/32"), AddressScope::link});
  view.addresses.push_back({"ppp0", ip("192.0.2.6"), net("192.0.2.99/32"), AddressScope::global});
  view.addresses.push_back({"eth1", ip("10.0.0.9"), net("10.0.0.0/24"), AddressScope::global});
  Rules rules;
  rules.connected = {net("1.2.3.0/24")};
  read_host(view, "tun0", rules);
  EXPECT_EQ(rules.connected, prefixes({"10.0.0.0/24", "192.0.2.99/32", "198.51.100.0/24"}));
  EXPECT_THAT(rules.host_addresses, ElementsAre(ip("10.0.0.1"), ip("10.0.0.9"), ip("127.0.0.1"), ip("169.254.86.1"),
                                                ip("192.0.2.5"), ip("192.0.2.6"), ip("198.51.100.1")));
}

}  // namespace
}  // namespace vipgate
