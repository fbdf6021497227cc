#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "kernel_setup_fixture.h"
#include "runtime/kernel_plan.h"

// VIPs that are addresses of this host, too: what that needs of the kernel, and that it gets back what it had.
namespace vipgate {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* kReserved = "net/ipv4/ip_local_reserved_ports";
const std::string kLocalRule = "0: from all lookup local proto 2";

PolicyRule local_rule(std::uint32_t priority, std::uint8_t protocol = kByKernel) {
  return {.priority = priority, .table = kLocalTable, .protocol = protocol};
}

/// Ports 80, 81 and 25 for TCP, 40000 to 40009 and 53 for UDP, of this host's address.
Config shared(Config config) {
  Vip& vip = config.rules.vips[0];
  vip.address = ip("198.51.100.1");
  vip.shared = true;
  Service& web = vip.services[0];
  web.ports = {{25, 25}, {80, 80}};
  Service more = web;
  more.name = "more";
  more.ports = {{81, 81}};
  Service media = web;
  media.name = "media";
  media.protocols = {Protocol::udp};
  media.ports = {{53, 53}, {40000, 40009}};
  vip.services.insert(vip.services.end(), {more, media});
  config.rules.subnets.clear();
  return config;
}

KernelView shared_view() {
  KernelView view;
  view.links = {{.index = 1, .name = "lo", .up = true, .loopback = true},
                {.index = 2, .name = "eth0", .up = true},
                {.index = 3, .name = "eth1", .up = true},
                {.index = 4, .name = "tun0", .kind = "tun"}};
  view.addresses = {{"eth0", ip("198.51.100.1"), net("198.51.100.0/24"), AddressScope::global},
                    {"eth1", ip("10.0.0.1"), net("10.0.0.0/24"), AddressScope::global}};
  view.main_routes = {{.destination = net("198.51.100.0/24"), .device = "eth0", .protocol = kByKernel},
                      {.destination = net("10.0.0.0/24"), .device = "eth1", .protocol = kByKernel}};
  view.rules = {local_rule(0)};
  view.forwarding_before = true;  // no guard
  view.local_ports = {32768, 60999};
  return view;
}

std::string refused(const Config& config, const KernelView& view) {
  const absl::StatusOr<KernelPlan> plan = plan_kernel(config, view);
  EXPECT_FALSE(plan.ok());
  return std::string(plan.status().message());
}

TEST(KernelPlanShared, rules_ahead_of_the_local_table_take_ports_and_icmp) {
  const absl::StatusOr<KernelPlan> plan = plan_kernel(shared(example_config()), shared_view());
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(rules_of(*plan),
              ElementsAre("97: from all iif tun0 lookup local proto 86",
                          "98: from all to 198.51.100.1/32 ipproto 6 dport 25 lookup 187 proto 86",
                          "98: from all to 198.51.100.1/32 ipproto 6 dport 80-81 lookup 187 proto 86",
                          "98: from all to 198.51.100.1/32 ipproto 17 dport 53 lookup 187 proto 86",
                          "98: from all to 198.51.100.1/32 ipproto 17 dport 40000-40009 lookup 187 proto 86",
                          "98: from all to 198.51.100.1/32 ipproto icmp lookup 187 proto 86",
                          "99: from all lookup local proto 86", "100: from all iif tun0 lookup main proto 86"));
  EXPECT_TRUE(plan->moves_local);
  EXPECT_EQ(plan->reserved_ports.to_text(), "40000-40009") << "53 is none that the host's programs get";
  std::vector<std::string> routes;
  for (const auto& route : plan->routes) routes.push_back(route.value.to_string());
  EXPECT_THAT(routes, ElementsAre("203.0.113.14/32 dev tun0 proto 86", "default dev tun0 table 187 proto 86"))
      << "none to the VIP";
}

TEST(KernelPlanShared, without_one_nothing_moves) {
  const absl::StatusOr<KernelPlan> plan = plan_kernel(example_config(), shared_view());
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_FALSE(plan->moves_local);
  EXPECT_TRUE(plan->reserved_ports.empty());
  EXPECT_THAT(rules_of(*plan), ElementsAre("100: from all iif tun0 lookup main proto 86"));
}

TEST(KernelPlanShared, the_address_must_be_of_this_host) {
  KernelView view = shared_view();
  view.addresses[0].address = ip("198.51.100.2");
  EXPECT_THAT(refused(shared(example_config()), view),
              AllOf(HasSubstr("the shared VIP 198.51.100.1 is no address of this host"), HasSubstr("ip address add")));
  view.addresses[0] = {"tun0", ip("198.51.100.1"), net("198.51.100.1/32"), AddressScope::global};
  EXPECT_THAT(refused(shared(example_config()), view), HasSubstr("is no address of this host"))
      << "the TUN's own goes with it";
}

TEST(KernelPlanShared, the_rules_need_room) {
  Config config = shared(example_config());
  config.kernel.rule_priority = 3;
  EXPECT_THAT(refused(config, shared_view()), HasSubstr("choose at least 4"));
  config.kernel.rule_priority = 4;
  EXPECT_TRUE(plan_kernel(config, shared_view()).ok());
}

TEST(KernelPlanShared, another_rule_for_the_local_table) {
  KernelView view = shared_view();
  view.rules = {local_rule(50, 3)};
  EXPECT_THAT(refused(shared(example_config()), view),
              AllOf(HasSubstr("50: from all lookup local proto 3"), HasSubstr("rule_priority of at most 50")));
  view.rules = {local_rule(32765, 3), local_rule(99, 86)};
  EXPECT_TRUE(plan_kernel(shared(example_config()), view).ok()) << "one behind, and our own";
}

TEST(KernelPlanShared, too_many_ports) {
  Config config = shared(example_config());
  for (std::uint16_t port = 1000; port < 1140; port += 2)
    config.rules.vips[0].services[0].ports.push_back({port, port});
  EXPECT_THAT(refused(config, shared_view()), AllOf(HasSubstr("need 75 policy rules"), HasSubstr("adjacent ports")));
}

TEST(KernelPlanShared, a_table_that_others_use) {
  KernelView view = shared_view();
  view.table_routes = {{.destination = {}, .device = "eth0", .table = 187, .protocol = 3}};
  EXPECT_THAT(refused(shared(example_config()), view), HasSubstr("table 187 is used by another program"));
}

/// The same, of whatever address an interface has.
Config following(Config config, const std::string& interface = "eth0") {
  config = shared(std::move(config));
  config.rules.vips[0].interface = interface;
  config.rules.vips[0].address = Ipv4Address();
  return config;
}

TEST(KernelPlanShared, an_interface_without_an_address) {
  const absl::StatusOr<KernelPlan> plan = plan_kernel(following(example_config(), "ppp0"), shared_view());
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(plan->warnings, Contains("the VIP of ppp0 is out of reach while that has no address"));
  EXPECT_THAT(rules_of(*plan),
              ElementsAre("97: from all iif tun0 lookup local proto 86", "99: from all lookup local proto 86",
                          "100: from all iif tun0 lookup main proto 86"));
}

TEST(KernelPlanShared, an_interface_with_an_address_that_has_another_use) {
  Config config = following(example_config());
  const auto refused_at = [&](const char* address) {
    config.rules.vips[0].address = ip(address);
    return refused(config, shared_view());
  };
  EXPECT_THAT(refused_at("10.0.0.2"), HasSubstr("the VIP of eth0 would be 10.0.0.2, which is a backend of media"));
  config.rules.subnets = {net("203.0.113.8/29")};
  EXPECT_THAT(refused_at("203.0.113.9"), HasSubstr("of the tun's subnet"));
  config.rules.vips.push_back(config.rules.vips[0]);
  config.rules.vips[1].services.clear();
  EXPECT_THAT(refused_at("203.0.113.9"), HasSubstr("of the tun's subnet"));
  config.rules.vips[1].address = ip("198.51.100.1");
  EXPECT_THAT(refused_at("198.51.100.1"), HasSubstr("which is another VIP"));
}

class KernelSharedTest : public KernelSetupTest {
 protected:
  static FakeKernel bare_host() {
    FakeKernel kernel = host();
    kernel.address_list.push_back({"eth0", ip("198.51.100.1"), net("198.51.100.0/24"), AddressScope::global});
    kernel.rule_list.push_back(local_rule(0));
    kernel.sysctls[kReserved] = "8080,40005-40100";
    kernel.sysctls["net/ipv4/ip_local_port_range"] = "32768\t60999";
    return kernel;
  }
  static FakeKernel host_with_tun() {
    FakeKernel kernel = bare_host();
    add_tun(kernel);
    return kernel;
  }
  Config config() const { return shared(KernelSetupTest::config(SourceMode::masquerade)); }
  Config unshared() const { return KernelSetupTest::config(SourceMode::masquerade); }

  static bool leads_to_local_table(const FakeKernel& kernel) {
    return std::any_of(kernel.rule_list.begin(), kernel.rule_list.end(),
                       [](const PolicyRule& rule) { return rule == local_rule(rule.priority, rule.protocol); });
  }

  static std::ptrdiff_t place(const FakeKernel& kernel, const std::string& change) {
    const auto found = std::find(kernel.log.begin(), kernel.log.end(), change);
    EXPECT_NE(found, kernel.log.end()) << change;
    return found - kernel.log.begin();
  }
};

TEST_F(KernelSharedTest, at_every_moment_a_rule_leads_to_the_local_table) {
  FakeKernel kernel = host_with_tun();
  const auto setup = make(kernel);
  ASSERT_TRUE(setup->apply(config(), TunOrigin::created).ok());
  EXPECT_LT(place(kernel, "+ rule 97: from all iif tun0 lookup local proto 86"), place(kernel, "- rule " + kLocalRule));
  EXPECT_LT(place(kernel, "+ rule 99: from all lookup local proto 86"), place(kernel, "- rule " + kLocalRule));
  EXPECT_THAT(kernel.rule_list, Not(Contains(local_rule(0))));
  EXPECT_EQ(kernel.sysctls[kReserved], "8080,40000-40100");

  kernel.log.clear();
  setup->restore();
  EXPECT_LT(place(kernel, "+ rule " + kLocalRule), place(kernel, "- rule 99: from all lookup local proto 86"));
  EXPECT_EQ(kernel.state(), bare_host().state());
  EXPECT_FALSE(has_state_file());
}

TEST_F(KernelSharedTest, an_interface_is_followed_and_its_last_address_kept) {
  FakeKernel kernel = host_with_tun();
  const auto setup = make(kernel);
  const Config config = following(KernelSetupTest::config(SourceMode::masquerade));
  const auto vip_now = [&] {
    Rules rules = config.rules;
    read_host(setup->view(), config.tun.name, rules);
    return rules.vips[0].address.to_string();
  };
  const auto is_taken = [&](const std::string& address) {
    return std::any_of(kernel.rule_list.begin(), kernel.rule_list.end(), [&](const PolicyRule& rule) {
      return rule.to == Ipv4Prefix(ip(address), 32) && rule.table == config.kernel.table;
    });
  };
  HostAddress& address = kernel.address_list.back();
  address.scope = AddressScope::link;
  ASSERT_TRUE(setup->apply(config, TunOrigin::created).ok());
  EXPECT_EQ(vip_now(), "0.0.0.0") << "a link-local one does not count";
  address.scope = AddressScope::global;
  ASSERT_TRUE(setup->check().ok());
  EXPECT_EQ(vip_now(), "198.51.100.1");
  EXPECT_TRUE(is_taken("198.51.100.1"));

  address.device = "eth9";
  ASSERT_TRUE(setup->check().ok());
  EXPECT_EQ(vip_now(), "198.51.100.1") << "it may come back";
  EXPECT_TRUE(is_taken("198.51.100.1"));

  address.device = "eth0";
  address.address = ip("198.51.100.7");
  ASSERT_TRUE(setup->check().ok());
  EXPECT_EQ(vip_now(), "198.51.100.7");
  EXPECT_TRUE(is_taken("198.51.100.7"));
  EXPECT_FALSE(is_taken("198.51.100.1"));

  address.address = ip("10.0.0.2");
  EXPECT_FALSE(setup->check().ok());
  EXPECT_EQ(vip_now(), "198.51.100.7") << "that of a backend cannot be";
}

TEST_F(KernelSharedTest, a_second_apply_changes_nothing) {
  FakeKernel kernel = host_with_tun();
  const auto setup = make(kernel);
  ASSERT_TRUE(setup->apply(config(), TunOrigin::created).ok());
  kernel.log.clear();
  ASSERT_TRUE(setup->apply(config(), TunOrigin::created).ok());
  EXPECT_THAT(kernel.log, IsEmpty());
}

TEST_F(KernelSharedTest, each_failing_call_is_reported_and_everything_undone) {
  int failures = 0;
  for (int n = 0;; ++n, ++failures) {
    FakeKernel kernel = host_with_tun();
    kernel.failing_call = n;
    const auto setup = make(kernel);
    const absl::Status status = setup->apply(config(), TunOrigin::created);
    if (kernel.failing_name.empty()) break;
    EXPECT_FALSE(status.ok()) << kernel.failing_name;
    EXPECT_EQ(kernel.state(), bare_host().state()) << "after " << kernel.failing_name;
    EXPECT_FALSE(has_state_file()) << kernel.failing_name;
  }
  EXPECT_GT(failures, 30);
}

TEST_F(KernelSharedTest, a_reload_that_fails_changes_nothing) {
  int failures = 0;
  for (int n = 0;; ++n, ++failures) {
    FakeKernel kernel = host_with_tun();
    const auto setup = make(kernel);
    ASSERT_TRUE(setup->apply(unshared(), TunOrigin::created).ok());
    const std::vector<std::string> before = kernel.state();
    kernel.failing_call = kernel.calls + n;
    const absl::Status status = setup->apply(config(), TunOrigin::created);
    if (kernel.failing_name.empty()) break;
    EXPECT_FALSE(status.ok()) << kernel.failing_name;
    EXPECT_EQ(kernel.state(), before) << "after " << kernel.failing_name;
    setup->restore();
    EXPECT_EQ(kernel.state(), bare_host().state()) << "after " << kernel.failing_name;
  }
  EXPECT_GT(failures, 30);
}

TEST_F(KernelSharedTest, what_cannot_be_undone_is_left_for_the_next_start) {
  int failures = 0;
  for (int n = 0;; ++n) {
    FakeKernel kernel = host_with_tun();
    auto setup = make(kernel);
    ASSERT_TRUE(setup->apply(config(), TunOrigin::created).ok());
    kernel.failing_call = kernel.calls + n;
    setup->restore();
    if (kernel.failing_name.empty()) break;
    ++failures;
    EXPECT_TRUE(leads_to_local_table(kernel)) << kernel.failing_name;
    EXPECT_TRUE(has_state_file()) << kernel.failing_name;
    setup.reset();
    ASSERT_TRUE(make(kernel)->clean_up(config()).ok());
    EXPECT_THAT(kernel.rule_list, ::testing::UnorderedElementsAreArray(bare_host().rule_list)) << kernel.failing_name;
    EXPECT_EQ(kernel.sysctls[kReserved], bare_host().sysctls[kReserved]) << kernel.failing_name;
  }
  EXPECT_GT(failures, 15);
}

TEST_F(KernelSharedTest, a_killed_predecessor_is_taken_over_and_restored) {
  FakeKernel kernel = host_with_tun();
  ASSERT_TRUE(make(kernel)->apply(config(), TunOrigin::created).ok());
  const std::vector<std::string> running = kernel.state();
  kernel.log.clear();
  const auto setup = make(kernel);
  ASSERT_TRUE(setup->apply(config(), TunOrigin::found).ok());
  EXPECT_EQ(kernel.state(), running);
  EXPECT_THAT(kernel.log, IsEmpty());
  setup->restore();
  EXPECT_EQ(kernel.state(), bare_host().state());
}

TEST_F(KernelSharedTest, a_predecessor_killed_at_any_change_is_cleaned_up) {
  int kills = 0;
  for (int n = 0;; ++n) {
    FakeKernel kernel = host_with_tun();
    kernel.dying_call = n;
    (void)make(kernel)->apply(config(), TunOrigin::created);
    if (!kernel.dead) break;
    ++kills;
    kernel.dead = false;
    kernel.dying_call = -1;
    EXPECT_TRUE(leads_to_local_table(kernel)) << n;
    const auto setup = make(kernel);
    ASSERT_TRUE(setup->apply(unshared(), TunOrigin::created).ok()) << n;
    setup->restore();
    EXPECT_EQ(kernel.state(), bare_host().state()) << n;
  }
  EXPECT_GT(kills, 30);
}

TEST_F(KernelSharedTest, a_reload_takes_it_back_and_brings_it_again) {
  FakeKernel kernel = host_with_tun();
  const auto setup = make(kernel);
  ASSERT_TRUE(setup->apply(unshared(), TunOrigin::created).ok());
  const std::vector<std::string> without = kernel.state();
  ASSERT_TRUE(setup->apply(config(), TunOrigin::created).ok());
  const std::vector<std::string> with = kernel.state();
  kernel.log.clear();
  ASSERT_TRUE(setup->apply(unshared(), TunOrigin::created).ok());
  EXPECT_EQ(kernel.state(), without);
  EXPECT_LT(place(kernel, "+ rule " + kLocalRule), place(kernel, "- rule 99: from all lookup local proto 86"));
  ASSERT_TRUE(setup->apply(config(), TunOrigin::created).ok());
  EXPECT_EQ(kernel.state(), with);

  Config less = config();
  less.rules.vips[0].services.pop_back();
  ASSERT_TRUE(setup->apply(less, TunOrigin::created).ok());
  EXPECT_EQ(kernel.sysctls[kReserved], "8080,40005-40100") << "what others have reserved stays";
  Config lower = config();
  lower.kernel.rule_priority = 98;  // where rules of the other stand
  ASSERT_TRUE(setup->apply(lower, TunOrigin::created).ok());
  setup->restore();
  EXPECT_EQ(kernel.state(), bare_host().state());
}

TEST_F(KernelSharedTest, what_others_change_is_put_right) {
  FakeKernel kernel = host_with_tun();
  const auto setup = make(kernel);
  ASSERT_TRUE(setup->apply(config(), TunOrigin::created).ok());
  const std::vector<std::string> running = kernel.state();
  kernel.rule_list.push_back(local_rule(0));
  std::erase_if(kernel.rule_list, [](const PolicyRule& rule) { return rule.priority == 99; });
  absl::StatusOr<std::vector<std::string>> lines = setup->check();
  ASSERT_TRUE(lines.ok()) << lines.status();
  EXPECT_EQ(kernel.state(), running);
  EXPECT_THAT(*lines, Contains(HasSubstr("99: from all lookup local proto 86 put back")));
  EXPECT_THAT(*lines, Contains(HasSubstr(kLocalRule + " removed again")));
}

TEST_F(KernelSharedTest, ports_that_others_reserve_meanwhile_stay_theirs) {
  FakeKernel kernel = host_with_tun();
  const auto setup = make(kernel);
  ASSERT_TRUE(setup->apply(config(), TunOrigin::created).ok());
  kernel.sysctls[kReserved] = "9000,40000-40100";
  ASSERT_TRUE(setup->check().ok());
  EXPECT_EQ(kernel.sysctls[kReserved], "9000,40000-40100") << "nothing to add";
  kernel.sysctls[kReserved] = "9000";
  ASSERT_TRUE(setup->check().ok());
  EXPECT_EQ(kernel.sysctls[kReserved], "9000,40000-40009") << "ours again";
  setup->restore();
  EXPECT_EQ(kernel.sysctls[kReserved], "9000");
}

TEST_F(KernelSharedTest, a_rule_of_an_administrator_comes_back_as_the_administrators) {
  FakeKernel kernel = host_with_tun();
  std::erase(kernel.rule_list, local_rule(0));
  kernel.rule_list.push_back(local_rule(0, 3));
  const auto setup = make(kernel);
  ASSERT_TRUE(setup->apply(config(), TunOrigin::created).ok());
  EXPECT_THAT(kernel.rule_list, Not(Contains(local_rule(0, 3))));
  setup->restore();
  EXPECT_THAT(kernel.rule_list, Contains(local_rule(0, 3)));
}

}  // namespace
}  // namespace vipgate
