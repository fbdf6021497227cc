#include "runtime/kernel_setup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "kernel_setup_fixture.h"

namespace vipgate {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST_F(KernelSetupTest, applies_in_an_order_without_gaps_and_takes_all_back) {
  FakeKernel kernel = host_with_tun();
  const auto setup = make(kernel);
  ASSERT_TRUE(setup->apply(config(), TunOrigin::created).ok());
  EXPECT_THAT(
      kernel.log,
      ElementsAre("net/ipv6/conf/tun0/disable_ipv6=1", "net/ipv4/conf/tun0/accept_local=1", "link tun0 mtu 1400 up",
                  "+ route 203.0.113.8/29 dev tun0 proto 86", "+ route 203.0.113.10/32 dev tun0 proto 86",
                  "+ route 203.0.113.14/32 dev tun0 proto 86", "+ route default dev tun0 table 187 proto 86",
                  "+ rule 100: from all iif tun0 lookup main proto 86",
                  "+ rule 101: from 10.0.0.2/31 iif eth1 lookup 187 proto 86",
                  "+ rule 101: from 10.0.0.8/32 iif eth1 lookup 187 proto 86",
                  "+ rule 104: from all iif lo ipproto icmp dport 768-1023 lookup 187 proto 86",
                  "+ rule 104: from all iif lo ipproto icmp dport 2816-3071 lookup 187 proto 86",
                  "+ rule 104: from all iif eth1 ipproto icmp lookup 187 proto 86",
                  "+ rule 105: from all to 10.0.0.2/31 iif eth0 prohibit proto 86",
                  "+ rule 105: from all to 10.0.0.8/32 iif eth0 prohibit proto 86", "net/ipv4/ip_forward=1"))
      << "forwarding comes behind the guard";
  EXPECT_EQ(log_.size(), kernel.log.size()) << "a line a change";
  EXPECT_THAT(log_, Contains("sysctl net/ipv4/ip_forward set to 1, was 0 — translated packets are forwarded"));
  EXPECT_TRUE(has_state_file());

  kernel.log.clear();
  setup->restore();
  EXPECT_EQ(kernel.log.front(), "net/ipv4/ip_forward=0");
  EXPECT_EQ(kernel.log.back(), "- link tun0");
  EXPECT_EQ(kernel.state(), host().state());
  EXPECT_FALSE(has_state_file());
}

TEST_F(KernelSetupTest, a_second_apply_changes_nothing) {
  FakeKernel kernel = host_with_tun();
  const auto setup = make(kernel);
  ASSERT_TRUE(setup->apply(config(), TunOrigin::created).ok());
  kernel.log.clear();
  log_.clear();
  ASSERT_TRUE(setup->apply(config(), TunOrigin::created).ok());
  EXPECT_THAT(kernel.log, IsEmpty());
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(KernelSetupTest, each_failing_call_is_reported_and_everything_undone) {
  int n = 0;
  for (;; ++n) {
    FakeKernel kernel = host_with_tun();
    kernel.failing_call = n;
    const auto setup = make(kernel);
    const absl::Status status = setup->apply(config(), TunOrigin::created);
    if (kernel.failing_name.empty()) {
      EXPECT_TRUE(status.ok()) << status;
      break;
    }
    EXPECT_FALSE(status.ok()) << kernel.failing_name;
    EXPECT_THAT(status.ToString(), HasSubstr(kernel.failing_name));
    EXPECT_EQ(kernel.state(), host().state()) << "after " << kernel.failing_name;
    EXPECT_FALSE(has_state_file()) << kernel.failing_name;
  }
  EXPECT_GT(n, 25) << "the loop met the calls";
}

TEST_F(KernelSetupTest, what_fails_at_the_end_is_left_for_the_next_start) {
  int failures = 0;
  for (int n = 0;; ++n) {
    FakeKernel kernel = host_with_tun();
    auto setup = make(kernel);
    ASSERT_TRUE(setup->apply(config(), TunOrigin::created).ok());
    kernel.calls = 0;
    kernel.failing_call = n;
    log_.clear();
    setup->restore();
    if (kernel.failing_name.empty()) break;
    ++failures;
    EXPECT_THAT(log_, Contains(HasSubstr(kernel.failing_name)));
    EXPECT_TRUE(has_state_file()) << kernel.failing_name;
    kernel.failing_call = -1;
    const bool tun_left = kernel.link_list.size() == 4;
    if (!tun_left) add_tun(kernel);
    setup = make(kernel);
    ASSERT_TRUE(setup->apply(config(), tun_left ? TunOrigin::found : TunOrigin::created).ok());
    setup->restore();
    EXPECT_EQ(kernel.state(), host().state()) << kernel.failing_name;
  }
  EXPECT_GT(failures, 15);
}

TEST_F(KernelSetupTest, a_failing_reload_leaves_the_previous_state) {
  Config next = config();
  next.rules.vips[0].services[0].backends[0].address = ip("10.0.0.77");
  next.rules.subnets[0] = net("203.0.113.0/28");
  next.kernel.table = 200;
  next.kernel.protocol = 99;
  int failures = 0;
  for (int n = 0;; ++n) {
    FakeKernel kernel = host_with_tun();
    const auto setup = make(kernel);
    ASSERT_TRUE(setup->apply(config(), TunOrigin::created).ok());
    const FakeKernel before = kernel;
    kernel.calls = 0;
    kernel.failing_call = n;
    const absl::Status status = setup->apply(next, TunOrigin::created);
    if (kernel.failing_name.empty()) {
      ASSERT_TRUE(status.ok());
      kernel.failing_call = -1;
      EXPECT_THAT(kernel.rule_list, Not(Contains(::testing::Field(&PolicyRule::protocol, 86))));
      setup->restore();
      EXPECT_EQ(kernel.state(), host().state());
      break;
    }
    ++failures;
    EXPECT_THAT(status.ToString(), HasSubstr(kernel.failing_name));
    EXPECT_EQ(kernel.state(), before.state()) << kernel.failing_name;
    setup->restore();
    EXPECT_EQ(kernel.state(), host().state()) << kernel.failing_name;
  }
  EXPECT_GT(failures, 20);
}

TEST_F(KernelSetupTest, a_killed_predecessor_is_taken_over_and_restored) {
  FakeKernel kernel = host_with_tun();
  ASSERT_TRUE(make(kernel)->apply(config(), TunOrigin::created).ok());  // dropped without restore()
  kernel.rule_list.push_back(
      {.priority = 101, .incoming = "eth1", .from = net("10.0.0.99/32"), .table = 187, .protocol = 86});
  kernel.route_list.push_back({.destination = net("203.0.113.77/32"), .device = "tun0", .protocol = 86});

  const auto setup = make(kernel);
  ASSERT_TRUE(setup->apply(config(), TunOrigin::found).ok());
  EXPECT_THAT(log_,
              ElementsAre("route 203.0.113.77/32 dev tun0 proto 86 removed — left by an earlier run",
                          "rule 101: from 10.0.0.99/32 iif eth1 lookup 187 proto 86 removed — left by an earlier run"));
  EXPECT_THAT(kernel.rule_list, Contains(::testing::Field(&PolicyRule::action, RuleAction::prohibit)))
      << "the guard stays: forwarding was off before the predecessor";
  setup->restore();
  EXPECT_EQ(kernel.state(), host().state());
}

TEST_F(KernelSetupTest, what_a_killed_predecessor_left_can_be_taken_back) {
  FakeKernel kernel = host_with_tun();
  auto running = make(kernel);
  ASSERT_TRUE(running->apply(config(), TunOrigin::created).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(make(kernel)->clean_up(config()))) << "it runs";
  running.reset();  // a kill
  ASSERT_NE(kernel.state(), host().state());
  ASSERT_TRUE(make(kernel)->clean_up(config()).ok());
  EXPECT_EQ(kernel.state(), host().state());
  EXPECT_FALSE(has_state_file());
  ASSERT_TRUE(make(kernel)->clean_up(config()).ok()) << "nothing is left to be done";
  EXPECT_EQ(kernel.state(), host().state());
}

TEST_F(KernelSetupTest, Fault1_a_device_that_came_anew_gets_all_that_went_with_the_old_one) {
  FakeKernel kernel = host_with_tun();
  const auto setup = make(kernel);
  ASSERT_TRUE(setup->apply(config(), TunOrigin::created).ok());
  const FakeKernel before = kernel;
  ASSERT_TRUE(kernel.delete_link("tun0").ok());
  EXPECT_TRUE(absl::IsNotFound(setup->check().status()));
  add_tun(kernel, 17);
  ASSERT_TRUE(setup->device_came_anew(TunOrigin::created).ok());
  EXPECT_TRUE(setup->check().ok());
  EXPECT_EQ(kernel.rule_list, before.rule_list);
  for (const Route& route : before.route_list) EXPECT_THAT(kernel.route_list, Contains(route));
  setup->restore();
  EXPECT_EQ(kernel.state(), host().state());
}

TEST_F(KernelSetupTest, Fault1_a_device_of_somebody_else_is_left_alone) {
  FakeKernel kernel = host_with_tun();
  const auto setup = make(kernel);
  ASSERT_TRUE(setup->apply(config(), TunOrigin::created).ok());
  ASSERT_TRUE(kernel.delete_link("tun0").ok());
  kernel.link_list.push_back({.index = 18, .name = "tun0", .kind = "veth", .mtu = 1500});
  setup->restore();
  EXPECT_THAT(log_, Contains(HasSubstr("device tun0 left alone")));
  EXPECT_EQ(kernel.link_list.back().index, 18);
}

TEST_F(KernelSetupTest, a_predecessor_with_another_configuration_is_cleaned_up) {
  FakeKernel kernel = host_with_tun();
  Config old = config();
  old.kernel.protocol = 77;
  old.kernel.table = 400;
  ASSERT_TRUE(make(kernel)->apply(old, TunOrigin::created).ok());
  auto setup = make(kernel);
  ASSERT_TRUE(setup->apply(config(), TunOrigin::found).ok());
  setup->restore();
  EXPECT_EQ(kernel.state(), host().state()) << "another protocol and table";

  add_tun(kernel);
  ASSERT_TRUE(make(kernel)->apply(old, TunOrigin::created).ok());
  Config other = config();
  other.tun.name = "tun1";
  kernel.link_list.push_back({.index = 9, .name = "tun1", .kind = "tun", .mtu = 1500});
  for (const char* name : {"rp_filter", "forwarding", "accept_local"})
    kernel.sysctls[std::string("net/ipv4/conf/tun1/") + name] = "0";
  setup = make(kernel);
  ASSERT_TRUE(setup->apply(other, TunOrigin::created).ok());
  EXPECT_THAT(log_, Contains("device tun0 deleted — vipgate ends"));
  setup->restore();
  EXPECT_EQ(kernel.state(), host().state()) << "another device";
}

TEST_F(KernelSetupTest, a_state_of_another_boot_or_namespace_does_not_hold) {
  FakeKernel first = host_with_tun();
  ASSERT_TRUE(make(first)->apply(config(), TunOrigin::created).ok());
  FakeKernel kernel = host_with_tun();
  kernel.namespace_name = "boot/2";
  kernel.sysctls["net/ipv4/ip_forward"] = "1";
  const auto setup = make(kernel);
  ASSERT_TRUE(setup->apply(config(), TunOrigin::found).ok());
  EXPECT_THAT(kernel.rule_list, Not(Contains(::testing::Field(&PolicyRule::action, RuleAction::prohibit))))
      << "the host forwards by itself";
  setup->restore();
  EXPECT_EQ(kernel.sysctls["net/ipv4/ip_forward"], "1");
  EXPECT_EQ(kernel.link_list.size(), 4U) << "a TUN that vipgate did not make stays";
}

TEST_F(KernelSetupTest, a_tun_that_was_there_stays_as_it_was) {
  FakeKernel kernel = host_with_tun();
  kernel.sysctls["net/ipv4/conf/all/rp_filter"] = "1";
  kernel.sysctls["net/ipv4/conf/tun0/rp_filter"] = "1";
  const FakeKernel before = kernel;
  ASSERT_TRUE(make(kernel)->apply(config(), TunOrigin::found).ok());
  EXPECT_EQ(kernel.sysctls["net/ipv4/conf/tun0/rp_filter"], "2");
  EXPECT_THAT(kernel.address_list,
              Contains(HostAddress{"tun0", ip("169.254.86.1"), net("169.254.86.1/32"), AddressScope::link}));
  const auto setup = make(kernel);  // a kill between
  ASSERT_TRUE(setup->apply(config(), TunOrigin::found).ok());
  setup->restore();
  EXPECT_EQ(kernel.state(), before.state());
}

TEST_F(KernelSetupTest, a_value_that_somebody_else_has_set_stays) {
  FakeKernel kernel = host_with_tun();
  kernel.sysctls["net/ipv4/conf/tun0/rp_filter"] = "1";
  const auto setup = make(kernel);
  ASSERT_TRUE(setup->apply(config(), TunOrigin::found).ok());
  kernel.sysctls["net/ipv4/conf/tun0/rp_filter"] = "2";
  setup->restore();
  EXPECT_EQ(kernel.sysctls["net/ipv4/conf/tun0/rp_filter"], "2");
  EXPECT_THAT(log_, Contains(HasSubstr("rp_filter left at 2")));
}

TEST_F(KernelSetupTest, check_puts_back_what_others_took) {
  FakeKernel kernel = host_with_tun();
  const auto setup = make(kernel);
  ASSERT_TRUE(setup->apply(config(), TunOrigin::created).ok());
  const FakeKernel wanted = kernel;
  EXPECT_THAT(setup->check().value(), IsEmpty());

  for (std::size_t i = wanted.rule_list.size() - 1; i >= 2; --i) {
    kernel.rule_list.erase(kernel.rule_list.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_THAT(setup->check().value(), ElementsAre(HasSubstr("put back — somebody had removed it")));
    EXPECT_THAT(kernel.rule_list, ::testing::UnorderedElementsAreArray(wanted.rule_list));
  }
  std::erase_if(kernel.route_list, [](const Route& route) { return route.device == "tun0"; });
  kernel.sysctls["net/ipv4/ip_forward"] = "0";
  kernel.link_list.back().up = false;
  EXPECT_EQ(setup->check().value().size(), 6U);
  EXPECT_THAT(kernel.route_list, ::testing::UnorderedElementsAreArray(wanted.route_list));
  EXPECT_EQ(kernel.sysctls["net/ipv4/ip_forward"], "1");
  EXPECT_TRUE(kernel.link_list.back().up);
  setup->restore();
  EXPECT_EQ(kernel.sysctls, host().sysctls);
}

TEST_F(KernelSetupTest, check_looks_at_sysctls_when_nothing_was_reported) {
  FakeKernel kernel = host_with_tun();
  const auto setup = make(kernel);
  ASSERT_TRUE(setup->apply(config(), TunOrigin::created).ok());
  ASSERT_TRUE(setup->check().ok());
  kernel.has_changed = false;
  kernel.calls = 0;
  EXPECT_THAT(setup->check().value(), IsEmpty());
  EXPECT_LE(kernel.calls, 5) << "lists of routes can be long";
  kernel.sysctls["net/ipv4/ip_forward"] = "0";
  EXPECT_THAT(setup->check().value(), ElementsAre(HasSubstr("net/ipv4/ip_forward set to 1, was 0")));
  kernel.rule_list.clear();  // not reported: found all the same, later
  std::size_t lines = 0;
  for (int i = 0; i < 30; ++i) lines += setup->check().value().size();
  EXPECT_EQ(lines, 8U);
}

TEST_F(KernelSetupTest, check_follows_interfaces) {
  FakeKernel kernel = host_with_tun();
  const auto setup = make(kernel);
  ASSERT_TRUE(setup->apply(config(SourceMode::masquerade), TunOrigin::created).ok());
  kernel.link_list.push_back({.index = 9, .name = "wlan0"});
  EXPECT_THAT(setup->check().value(),
              ElementsAre(AllOf(HasSubstr("10.0.0.2/31 iif wlan0 prohibit"), HasSubstr("added — guard: wlan0")),
                          HasSubstr("10.0.0.8/32 iif wlan0")));
  kernel.link_list.pop_back();
  EXPECT_THAT(setup->check().value(),
              ElementsAre(HasSubstr("removed — interfaces or routes changed"), HasSubstr("wlan0")));
  kernel.route_list[0].device = "eth0";  // the backends moved
  EXPECT_THAT(setup->check().value(), Contains(AllOf(HasSubstr("iif eth1 prohibit"), HasSubstr("added"))));
  setup->restore();
}

TEST_F(KernelSetupTest, a_reload_brings_egress_and_takes_it_away) {
  FakeKernel kernel = host_with_tun();
  const auto setup = make(kernel);
  Config plain = config(SourceMode::masquerade);
  Config with_egress = plain;
  with_egress.rules.egress = {
      {.from = net("10.0.0.0/24"), .as = ip("203.0.113.10"), .except = {net("192.168.0.0/16")}}};
  ASSERT_TRUE(setup->apply(plain, TunOrigin::created).ok());
  const std::vector<std::string> before = kernel.state();
  kernel.log.clear();
  ASSERT_TRUE(setup->apply(with_egress, TunOrigin::created).ok());
  EXPECT_THAT(kernel.log, ElementsAre("+ route default dev tun0 table 187 proto 86",
                                      "+ rule 102: from 10.0.0.0/24 to 192.168.0.0/16 iif eth1 lookup main proto 86",
                                      "+ rule 103: from 10.0.0.0/24 iif eth1 lookup 187 proto 86",
                                      "+ rule 104: from all iif lo ipproto icmp dport 768-1023 lookup 187 proto 86",
                                      "+ rule 104: from all iif lo ipproto icmp dport 2816-3071 lookup 187 proto 86",
                                      "+ rule 105: from all to 10.0.0.0/24 iif eth0 prohibit proto 86",
                                      "- rule 105: from all to 10.0.0.2/31 iif eth0 prohibit proto 86",
                                      "- rule 105: from all to 10.0.0.8/32 iif eth0 prohibit proto 86"))
      << "the guard has no gap";
  Config moved = with_egress;
  moved.rules.egress[0].from = net("10.0.0.0/25");
  moved.rules.egress[0].except.clear();
  kernel.log.clear();
  ASSERT_TRUE(setup->apply(moved, TunOrigin::created).ok());
  EXPECT_THAT(kernel.log, ::testing::IsSupersetOf(
                              {"+ rule 103: from 10.0.0.0/25 iif eth1 lookup 187 proto 86",
                               "- rule 103: from 10.0.0.0/24 iif eth1 lookup 187 proto 86",
                               "- rule 102: from 10.0.0.0/24 to 192.168.0.0/16 iif eth1 lookup main proto 86"}));
  ASSERT_TRUE(setup->apply(plain, TunOrigin::created).ok());
  EXPECT_EQ(kernel.state(), before);
  setup->restore();
  EXPECT_EQ(kernel.state(), host().state());
}

TEST_F(KernelSetupTest, check_follows_egress_networks) {
  FakeKernel kernel = host_with_tun();
  const auto setup = make(kernel);
  Config wanted = config(SourceMode::masquerade);
  wanted.kernel.guard = false;
  wanted.rules.egress = {{.from = net("10.7.0.0/16"), .as = ip("203.0.113.10"), .except = {}}};
  ASSERT_TRUE(setup->apply(wanted, TunOrigin::created).ok());
  EXPECT_THAT(log_,
              Contains("warning: egress from 10.7.0.0/16 has no route: nothing comes from there until it has one"));
  kernel.route_list.push_back({.destination = net("10.7.3.0/24"), .device = "eth0", .protocol = kByKernel});
  EXPECT_THAT(setup->check().value(), ElementsAre(AllOf(HasSubstr("rule 103: from 10.7.0.0/16 iif eth0 lookup 187"),
                                                        HasSubstr("added — egress"))));
  kernel.route_list.back().device = "eth1";
  EXPECT_THAT(setup->check().value(),
              ElementsAre(HasSubstr("iif eth1"), AllOf(HasSubstr("iif eth0"), HasSubstr("removed"))));
  setup->restore();
}

TEST_F(KernelSetupTest, a_deleted_tun_is_not_found) {
  for (const bool made_anew : {false, true}) {
    FakeKernel kernel = host_with_tun();
    const auto setup = make(kernel);
    ASSERT_TRUE(setup->apply(config(), TunOrigin::created).ok());
    ASSERT_TRUE(kernel.delete_link("tun0").ok());
    if (made_anew) add_tun(kernel, 17);
    const absl::Status status = setup->check().status();
    EXPECT_TRUE(absl::IsNotFound(status)) << status;
    EXPECT_THAT(status.ToString(), HasSubstr("tun0 is gone"));
    setup->restore();
    EXPECT_EQ(kernel.rule_list, host().rule_list);
  }
}

TEST_F(KernelSetupTest, other_errors_of_check_pass) {
  FakeKernel kernel = host_with_tun();
  const auto setup = make(kernel);
  ASSERT_TRUE(setup->apply(config(), TunOrigin::created).ok());
  ASSERT_TRUE(setup->check().ok());
  kernel.calls = 0;
  kernel.failing_call = 0;
  kernel.rule_list.pop_back();
  EXPECT_FALSE(setup->check().ok());
  kernel.has_changed = false;
  EXPECT_THAT(setup->check().value(), ElementsAre(HasSubstr("put back"))) << "the report of the change is not lost";
  // Something else that is missing is no reason to end.
  kernel.sysctls.erase("net/ipv4/conf/all/rp_filter");
  kernel.has_changed = true;
  EXPECT_TRUE(absl::IsUnavailable(setup->check().status()));
  setup->restore();
}

TEST_F(KernelSetupTest, two_gateways_do_not_share_a_folder_or_a_tag) {
  FakeKernel first = host_with_tun();
  const auto running = make(first);
  ASSERT_TRUE(running->apply(config(), TunOrigin::created).ok());

  FakeKernel second = host_with_tun();
  second.namespace_name = "boot/2";
  absl::Status status = make(second)->apply(config(), TunOrigin::created);
  EXPECT_TRUE(absl::IsAlreadyExists(status));
  EXPECT_THAT(status.ToString(), HasSubstr("flows.state_dir"));
  EXPECT_EQ(second.state(), host().state()) << "its TUN, too, is gone";

  FakeKernel third = host_with_tun();
  third.locked = true;
  Config elsewhere = config();
  elsewhere.flows.state_dir = folder_.path() + "/elsewhere";
  status = make(third)->apply(elsewhere, TunOrigin::created);
  EXPECT_THAT(status.ToString(), AllOf(HasSubstr("kernel.protocol 86"), HasSubstr("process 4711")));
  EXPECT_TRUE(has_state_file()) << "of the one that runs";
  running->restore();
}

TEST_F(KernelSetupTest, the_state_folder_is_made_private_and_named_in_errors) {
  FakeKernel kernel = host_with_tun();
  Config deep = config();
  deep.flows.state_dir = folder_.path() + "/a/b";
  const auto setup = make(kernel);
  ASSERT_TRUE(setup->apply(deep, TunOrigin::created).ok());
  struct stat info {};
  ASSERT_EQ(::stat((folder_.path() + "/a/b").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0711U);
  setup->restore();

  std::ofstream(folder_.path() + "/file") << "x";
  Config bad = config();
  bad.flows.state_dir = folder_.path() + "/file/state";
  FakeKernel other = host_with_tun();
  EXPECT_THAT(make(other)->apply(bad, TunOrigin::created).ToString(),
              AllOf(HasSubstr(folder_.path()), HasSubstr("flows.state_dir")));
  EXPECT_EQ(other.state(), host().state());
}

TEST(KernelState, text_comes_back) {
  KernelState state;
  state.identity = "boot/17";
  state.device = "tun0";
  EXPECT_EQ(KernelState::parse(state.to_text()), state);
  state.link = {.up = false, .mtu = 1280, .queue_length = {}};
  state.tags = {{86, 187}, {250, 4000000000}};
  state.values = {{"net/ipv4/ip_forward", "0", "1"}, {"net/ipv4/conf/eth0.5/forwarding", "1", ""}};
  EXPECT_EQ(KernelState::parse(state.to_text()), state);
  state.created = true;
  EXPECT_EQ(KernelState::parse(state.to_text()), state);
}

TEST(KernelState, what_is_no_state_is_none) {
  const std::string head = "vipgate-kernel-state 1\nnamespace x\n";
  EXPECT_TRUE(KernelState::parse(head).has_value());
  for (const char* line :
       {"bogus", "mtu many", "tag 0 1", "tag 300 1", "sysctl net/ipv4/ip_forward", "sysctl kernel/core_pattern a b",
        "sysctl net/ipv4/../../kernel/core_pattern a b", "created"}) {
    EXPECT_FALSE(KernelState::parse(head + line + "\n").has_value()) << line;
  }
  EXPECT_FALSE(KernelState::parse("").has_value());
  EXPECT_FALSE(KernelState::parse("vipgate-kernel-state 2\n").has_value());
}

}  // namespace
}  // namespace vipgate
