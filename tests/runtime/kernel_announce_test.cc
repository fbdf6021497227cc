#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>

#include "kernel_setup_fixture.h"

namespace vipgate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr MacAddress kOther{0x02, 0, 0, 0, 0, 9};
const std::string kVipRoute = "203.0.113.10/32 dev tun0 table 186 proto 86";

Announcement vip_announcement() {
  return {.address = ip("203.0.113.10"), .vip = true};
}

/// What is said in ARP, and answered by the kernel, with these lines told.
class AnnounceTest : public KernelSetupTest {
 protected:
  void SetUp() override {
    for (const char* device : {"eth0", "eth1"}) {
      kernel_.sysctls[std::string("net/ipv4/neigh/") + device + "/proxy_delay"] = "80";
    }
    for (Link& link : kernel_.link_list) link.carrier = true;
    add_tun(kernel_);
  }

  Config by_table() const {
    Config config = this->config(SourceMode::masquerade);
    config.announcements = {vip_announcement()};
    config.announcements[0].route_table = 186;
    return config;
  }
  Config by_arp(const std::vector<std::string>& devices = {"eth0"}) const {
    Config config = this->config(SourceMode::masquerade);
    config.announcements = {vip_announcement()};
    config.announcements[0].arp = devices;
    return config;
  }

  /// Calls check() as the gateway does, for some time.
  void run_for(Duration time) {
    const Time end = kernel_.lan.clock + time;
    while (kernel_.lan.clock < end) {
      kernel_.lan.clock += std::clamp<Duration>(setup_->due().value_or(seconds(1)), milliseconds(50), seconds(1));
      const auto lines = setup_->check();
      ASSERT_TRUE(lines.ok()) << lines.status();
      log_.insert(log_.end(), lines->begin(), lines->end());
    }
  }
  absl::Status start(const Config& config) {
    setup_ = make(kernel_);
    return setup_->apply(config, TunOrigin::created);
  }
  Link& link(const std::string& name) {
    return *std::find_if(kernel_.link_list.begin(), kernel_.link_list.end(),
                         [&](const Link& link) { return link.name == name; });
  }
  std::vector<std::string> proxies() const {
    std::vector<std::string> texts;
    for (const ProxyNeighbour& proxy : kernel_.proxy_list) texts.push_back(proxy.to_string());
    return texts;
  }
  std::vector<std::string> table() const {
    std::vector<std::string> texts;
    for (const Route& route : kernel_.route_list) {
      if (route.table == 186) texts.push_back(route.to_string());
    }
    return texts;
  }

  FakeKernel kernel_ = host();
  std::unique_ptr<KernelSetup> setup_;
};

TEST(KernelPlanAnnounce, a_host_route_in_a_table_of_its_own) {
  Config config = example_config();
  KernelView view;
  config.announcements = {vip_announcement(), {.address = ip("203.0.113.14")}};
  EXPECT_EQ(routes_of(plan_kernel(config, view).value()), routes_of(plan_kernel(example_config(), view).value()));
  config.announcements[0].route_table = 186;
  config.announcements[1].route_table = 185;
  // A host route in the main table would be preferred by FRR, which then announces nothing.
  EXPECT_THAT(routes_of(plan_kernel(config, view).value()), ElementsAre("203.0.113.8/29 dev tun0 proto 86", kVipRoute,
                                                                        "203.0.113.14/32 dev tun0 table 185 proto 86"));
  EXPECT_THAT(routes_of(plan_kernel(config, view, {.vips = {ip("203.0.113.10"), ip("203.0.113.14")}}).value()),
              ElementsAre("203.0.113.8/29 dev tun0 proto 86", "203.0.113.14/32 dev tun0 table 185 proto 86"))
      << "only VIPs are served or not";
  EXPECT_THAT(routes_of(plan_kernel(config, view, {.all = true}).value()),
              ElementsAre("203.0.113.8/29 dev tun0 proto 86"));
}

TEST(KernelPlanAnnounce, an_address_without_a_wider_subnet_stays_in_the_main_table) {
  Config config = example_config();
  config.rules.subnets = {net("203.0.113.10/32")};
  config.rules.masquerade = {ip("10.0.0.250")};
  config.announcements = {vip_announcement(), {.address = ip("10.0.0.250"), .route_table = 186}};
  config.announcements[0].route_table = 186;
  EXPECT_THAT(routes_of(plan_kernel(config, {}).value()),
              ElementsAre("10.0.0.250/32 dev tun0 proto 86", "203.0.113.10/32 dev tun0 proto 86", kVipRoute,
                          "10.0.0.250/32 dev tun0 table 186 proto 86"));
}

TEST_F(AnnounceTest, the_route_is_there_while_the_vip_is_served) {
  const auto before = host().state();
  ASSERT_TRUE(start(by_table()).ok());
  EXPECT_THAT(table(), ElementsAre(kVipRoute));
  const int calls = kernel_.calls;
  EXPECT_TRUE(setup_->withdraw({}).ok());
  EXPECT_TRUE(setup_->withdraw({}).ok());
  EXPECT_EQ(kernel_.calls, calls) << "nothing changed";
  ASSERT_TRUE(setup_->withdraw({.vips = {ip("203.0.113.10")}}).ok());
  EXPECT_THAT(table(), IsEmpty());
  EXPECT_THAT(log_, Contains("route " + kVipRoute + " removed — nobody serves it"));
  ASSERT_TRUE(setup_->check().ok());
  ASSERT_TRUE(setup_->apply(by_table(), TunOrigin::found).ok());
  EXPECT_THAT(table(), IsEmpty()) << "a reload serves nobody";
  ASSERT_TRUE(setup_->withdraw({}).ok());
  EXPECT_THAT(table(), ElementsAre(kVipRoute));
  setup_->restore();
  EXPECT_THAT(table(), IsEmpty());
}

TEST_F(AnnounceTest, standby_holds_from_the_start) {
  setup_ = make(kernel_);
  ASSERT_TRUE(setup_->withdraw({.all = true}).ok());
  Config config = by_table();
  config.announcements[0].arp = {"eth0"};
  ASSERT_TRUE(setup_->apply(config, TunOrigin::created).ok());
  EXPECT_THAT(table(), IsEmpty());
  EXPECT_THAT(kernel_.lan.sent, IsEmpty());
  ASSERT_TRUE(setup_->withdraw({}).ok());
  EXPECT_THAT(table(), ElementsAre(kVipRoute));
  run_for(seconds(1));
  EXPECT_THAT(proxies(), ElementsAre("203.0.113.10 dev eth0 proto 86"));
}

TEST_F(AnnounceTest, what_a_withdrawal_could_not_do_is_done_later) {
  ASSERT_TRUE(start(by_table()).ok());
  kernel_.has_changed = false;
  kernel_.failing_call = kernel_.calls;
  EXPECT_FALSE(setup_->withdraw({.all = true}).ok());
  EXPECT_THAT(table(), ElementsAre(kVipRoute));
  ASSERT_TRUE(setup_->check().ok());
  EXPECT_THAT(table(), IsEmpty());
}

TEST_F(AnnounceTest, a_table_is_shared_with_others_and_cleaned_up_after_a_kill) {
  const Route of_others{.destination = net("198.51.100.0/24"), .device = "eth1", .table = 186, .protocol = 86};
  kernel_.route_list.push_back(of_others);
  ASSERT_TRUE(start(by_table()).ok());
  ASSERT_TRUE(setup_->check().ok());
  setup_.reset();  // killed
  Config next = config(SourceMode::masquerade);
  ASSERT_TRUE(start(next).ok());
  EXPECT_THAT(table(), ElementsAre(of_others.to_string()));
  EXPECT_THAT(log_, Contains("route " + kVipRoute + " removed — left by an earlier run"));
  setup_->restore();
  EXPECT_THAT(table(), ElementsAre(of_others.to_string()));
}

TEST_F(AnnounceTest, a_reload_forgets_a_table) {
  ASSERT_TRUE(start(by_table()).ok());
  const auto noted = [&] {
    std::ifstream file(folder_.path() + "/state/kernel.state");
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  EXPECT_THAT(noted(), HasSubstr("announced 186"));
  ASSERT_TRUE(setup_->apply(config(SourceMode::masquerade), TunOrigin::found).ok());
  EXPECT_THAT(table(), IsEmpty());
  EXPECT_THAT(noted(), Not(HasSubstr("announced")));
}

TEST_F(AnnounceTest, Rfc5227Sec23_an_address_is_asked_for_then_announced_twice) {
  kernel_.address_list.push_back({"eth0", ip("198.51.100.1"), net("198.51.100.0/24"), AddressScope::global});
  const Time began = kernel_.lan.clock;
  ASSERT_TRUE(start(by_arp()).ok());
  const std::string question = "eth0 ? 203.0.113.10 from 198.51.100.1";
  EXPECT_THAT(kernel_.lan.sent, ElementsAre(question, question, question, "eth0 ! 203.0.113.10"));
  EXPECT_GE(kernel_.lan.clock - began, milliseconds(600)) << "time to answer the last one too";
  EXPECT_THAT(proxies(), ElementsAre("203.0.113.10 dev eth0 proto 86"));
  EXPECT_EQ(kernel_.sysctls["net/ipv4/neigh/eth0/proxy_delay"], "0");
  EXPECT_EQ(kernel_.sysctls["net/ipv4/neigh/eth1/proxy_delay"], "80");
  kernel_.lan.sent.clear();
  run_for(seconds(30));
  EXPECT_THAT(kernel_.lan.sent, ElementsAre("eth0 ! 203.0.113.10"));
  setup_->restore();
  EXPECT_THAT(proxies(), IsEmpty());
  EXPECT_EQ(kernel_.sysctls["net/ipv4/neigh/eth0/proxy_delay"], "80");
}

TEST_F(AnnounceTest, Fault7_what_a_gateway_has_changed_that_did_not_take_over_is_taken_back) {
  ASSERT_TRUE(start(by_table()).ok());
  auto other = std::make_unique<KernelSetup>(kernel_, [](const std::string&) {});
  other->take_over(setup_->copy_locks());
  ASSERT_TRUE(other->apply(by_arp(), TunOrigin::found).ok());
  EXPECT_THAT(proxies(), SizeIs(1));
  EXPECT_EQ(kernel_.sysctls["net/ipv4/neigh/eth0/proxy_delay"], "0");
  other.reset();  // it died
  kernel_.has_changed = false;
  setup_->resume();
  run_for(seconds(1));
  EXPECT_THAT(proxies(), IsEmpty());
  EXPECT_THAT(table(), ElementsAre(kVipRoute));
  setup_->restore();
  EXPECT_EQ(kernel_.sysctls["net/ipv4/neigh/eth0/proxy_delay"], "80");
}

TEST_F(AnnounceTest, Rfc5227Sec211_an_address_that_another_host_has_is_an_error_at_the_start) {
  const auto before = kernel_.state();
  for (const bool probe : {false, true}) {  // two that probe at once: neither gets it
    kernel_.lan.answers = {{"eth0", ip("203.0.113.10"), kOther, probe}};
    const absl::Status status = start(by_arp());
    EXPECT_THAT(std::string(status.message()),
                StartsWith("203.0.113.10 is used by another host on eth0 (02:00:00:00:00:09)"));
    EXPECT_THAT(proxies(), IsEmpty());
    EXPECT_THAT(kernel_.lan.sent, Not(Contains("eth0 ! 203.0.113.10")));
    add_tun(kernel_);
    EXPECT_EQ(kernel_.state(), before);
  }
}

TEST_F(AnnounceTest, what_others_say_elsewhere_or_of_other_addresses_is_no_conflict) {
  kernel_.lan.answers = {{"eth1", ip("203.0.113.10"), kOther, false}, {"eth0", ip("203.0.113.11"), kOther, false}};
  kernel_.lan.others = kernel_.lan.answers;
  EXPECT_TRUE(start(by_arp()).ok());
}

TEST_F(AnnounceTest, Rfc5227Sec211_a_conflict_of_a_reload_is_said_once_and_asked_again_ever_more_seldom) {
  ASSERT_TRUE(start(config(SourceMode::masquerade)).ok());
  kernel_.lan.answers = {{"eth0", ip("203.0.113.10"), kOther, false}};
  ASSERT_TRUE(setup_->apply(by_arp(), TunOrigin::found).ok());
  run_for(seconds(60));
  EXPECT_THAT(kernel_.lan.sent, SizeIs(6)) << "after 1, 3, 7, 15 and 31 seconds";
  EXPECT_THAT(log_, Contains(HasSubstr("is used by another host on eth0")).Times(1));
  run_for(seconds(600));
  EXPECT_THAT(kernel_.lan.sent, SizeIs(testing::AllOf(testing::Ge(14U), testing::Le(17U)))) << "then once a minute";
  EXPECT_THAT(log_, Contains(HasSubstr("is used by another host on eth0")).Times(1));
  EXPECT_THAT(proxies(), IsEmpty());
  kernel_.lan.answers.clear();  // it went away
  run_for(seconds(65));
  EXPECT_THAT(proxies(), ElementsAre("203.0.113.10 dev eth0 proto 86"));
  EXPECT_THAT(kernel_.lan.sent, Contains("eth0 ! 203.0.113.10").Times(2));
}

TEST_F(AnnounceTest, an_address_that_is_just_given_up_is_announced_within_seconds) {
  ASSERT_TRUE(start(config(SourceMode::masquerade)).ok());
  kernel_.lan.answers = {{"eth0", ip("203.0.113.10"), kOther, false}};
  ASSERT_TRUE(setup_->apply(by_arp(), TunOrigin::found).ok());
  run_for(milliseconds(200));
  EXPECT_THAT(log_, Contains(HasSubstr("is used by another host on eth0")));
  kernel_.lan.answers.clear();
  run_for(seconds(2));
  EXPECT_THAT(proxies(), ElementsAre("203.0.113.10 dev eth0 proto 86"));
}

TEST_F(AnnounceTest, Rfc5227Sec24_a_later_claim_is_said_and_defended_once_in_ten_seconds) {
  ASSERT_TRUE(start(by_arp()).ok());
  run_for(seconds(5));
  kernel_.lan.sent.clear();
  log_.clear();
  for (int i = 0; i < 18; ++i) {
    kernel_.lan.others = {{"eth0", ip("203.0.113.10"), kOther, false}};
    run_for(seconds(1));
  }
  EXPECT_THAT(kernel_.lan.sent, ElementsAre("eth0 ! 203.0.113.10", "eth0 ! 203.0.113.10"));
  EXPECT_THAT(log_, Contains(HasSubstr("somebody else uses 203.0.113.10 on eth0 (02:00:00:00:00:09)")).Times(2));
  EXPECT_THAT(proxies(), ElementsAre("203.0.113.10 dev eth0 proto 86"));
}

TEST_F(AnnounceTest, a_killed_predecessors_answers_go_on_without_asking) {
  ASSERT_TRUE(start(by_arp({"eth0", "eth1"})).ok());
  setup_.reset();
  kernel_.lan.sent.clear();
  ASSERT_TRUE(start(by_arp()).ok());
  EXPECT_THAT(kernel_.lan.sent, ElementsAre("eth0 ! 203.0.113.10"));
  EXPECT_THAT(proxies(), ElementsAre("203.0.113.10 dev eth0 proto 86"));
  EXPECT_EQ(kernel_.lan.devices, std::set<std::string>{"eth0"});
}

TEST_F(AnnounceTest, a_device_that_is_not_there_is_warned_of_and_followed) {
  ASSERT_TRUE(start(by_arp({"eth7"})).ok());
  EXPECT_THAT(log_, Contains("warning: eth7 is not there: 203.0.113.10 is not announced on it by ARP until it comes"));
  run_for(seconds(3));
  EXPECT_THAT(proxies(), IsEmpty());
  kernel_.link_list.push_back({.index = 7, .name = "eth7", .up = true, .carrier = true});
  kernel_.sysctls["net/ipv4/neigh/eth7/proxy_delay"] = "80";
  kernel_.sysctls["net/ipv4/conf/eth7/forwarding"] = "0";
  run_for(seconds(3));
  EXPECT_THAT(proxies(), ElementsAre("203.0.113.10 dev eth7 proto 86"));
  EXPECT_EQ(kernel_.sysctls["net/ipv4/conf/eth7/forwarding"], "1") << "else the kernel answers for nobody";
}

TEST_F(AnnounceTest, a_device_that_comes_up_again_is_asked_and_told_again) {
  ASSERT_TRUE(start(by_arp()).ok());
  run_for(seconds(5));
  link("eth0").up = link("eth0").carrier = false;
  kernel_.proxy_list.clear();  // as the kernel does
  kernel_.lan.sent.clear();
  run_for(seconds(5));
  EXPECT_THAT(kernel_.lan.sent, IsEmpty());
  EXPECT_THAT(log_, Contains(HasSubstr("eth0 is down")));
  link("eth0").up = link("eth0").carrier = true;
  run_for(seconds(5));
  const std::string question = "eth0 ? 203.0.113.10";
  EXPECT_THAT(kernel_.lan.sent,
              ElementsAre(question, question, question, "eth0 ! 203.0.113.10", "eth0 ! 203.0.113.10"));
  EXPECT_THAT(proxies(), ElementsAre("203.0.113.10 dev eth0 proto 86"));
  EXPECT_THAT(log_, Not(Contains(HasSubstr("somebody had removed it"))));
  // Without its cable alone, the kernel goes on answering.
  kernel_.lan.sent.clear();
  link("eth0").carrier = false;
  run_for(seconds(3));
  link("eth0").carrier = true;
  run_for(seconds(5));
  EXPECT_THAT(kernel_.lan.sent, ElementsAre("eth0 ! 203.0.113.10", "eth0 ! 203.0.113.10"));
}

TEST_F(AnnounceTest, a_device_that_came_anew_is_asked_again) {
  ASSERT_TRUE(start(by_arp()).ok());
  run_for(seconds(5));
  link("eth0").index = 9;
  kernel_.proxy_list.clear();
  kernel_.lan.sent.clear();
  run_for(seconds(2));
  EXPECT_THAT(kernel_.lan.sent, Contains("eth0 ? 203.0.113.10").Times(3));
  EXPECT_THAT(proxies(), ElementsAre("203.0.113.10 dev eth0 proto 86"));
}

TEST_F(AnnounceTest, what_somebody_removed_is_put_back_within_a_second) {
  ASSERT_TRUE(start(by_arp()).ok());
  run_for(seconds(5));
  kernel_.has_changed = false;  // the kernel says nothing of these
  ASSERT_TRUE(setup_->check().ok());
  kernel_.proxy_list.clear();
  const auto lines = setup_->check();
  EXPECT_THAT(lines.value(), ElementsAre("ARP 203.0.113.10 dev eth0 proto 86 put back — somebody had removed it "
                                         "(neighbours on eth0 reach 203.0.113.10 by ARP)"));
  EXPECT_THAT(proxies(), ElementsAre("203.0.113.10 dev eth0 proto 86"));
}

TEST_F(AnnounceTest, answers_of_others_stay_as_they_are) {
  kernel_.proxy_list = {{"eth0", ip("203.0.113.10"), 0}, {"eth0", ip("203.0.113.77"), 3}};
  const auto before = kernel_.proxy_list;
  ASSERT_TRUE(start(by_arp()).ok());
  EXPECT_EQ(kernel_.proxy_list, before);
  setup_->restore();
  EXPECT_EQ(kernel_.proxy_list, before);
}

TEST_F(AnnounceTest, a_vip_that_is_served_again_is_announced_again) {
  Config config = by_arp();
  config.announcements.push_back({.address = ip("203.0.113.14"), .arp = {"eth1"}});
  ASSERT_TRUE(start(config).ok());
  run_for(seconds(5));
  ASSERT_TRUE(setup_->withdraw({.vips = {ip("203.0.113.10")}}).ok());
  EXPECT_THAT(proxies(), ElementsAre("203.0.113.14 dev eth1 proto 86"));
  kernel_.lan.sent.clear();
  ASSERT_TRUE(setup_->withdraw({}).ok());
  run_for(seconds(1));
  EXPECT_THAT(kernel_.lan.sent, Contains("eth0 ! 203.0.113.10"));
  EXPECT_THAT(kernel_.lan.sent, Not(Contains(StartsWith("eth1"))));
  EXPECT_EQ(proxies().size(), 2U);
}

TEST_F(AnnounceTest, without_the_right_to_send_there_is_no_start) {
  kernel_.lan.refusal = absl::PermissionDeniedError("cannot speak ARP on eth0: needs root or CAP_NET_RAW");
  EXPECT_EQ(start(by_arp()).message(), kernel_.lan.refusal.message());
  EXPECT_THAT(proxies(), IsEmpty());
}

TEST_F(AnnounceTest, each_failing_call_is_reported_and_everything_undone) {
  Config config = by_arp({"eth0", "eth1"});
  config.announcements[0].route_table = 186;
  const FakeKernel clean = kernel_;
  std::vector<std::string> before = clean.state();
  std::erase_if(before, [](const std::string& line) { return line.find("tun0") != std::string::npos; });
  int n = 0;
  for (;; ++n) {
    kernel_ = clean;
    kernel_.failing_call = n;
    const absl::Status status = start(config);
    if (kernel_.failing_name.empty()) break;
    EXPECT_THAT(status.ToString(), HasSubstr(kernel_.failing_name));
    EXPECT_EQ(kernel_.state(), before) << "after " << kernel_.failing_name;
  }
  EXPECT_GT(n, 25) << "the loop met the calls";
}

TEST(KernelStateAnnounce, tables_come_back) {
  KernelState state;
  state.identity = "boot/1";
  state.announced_tables = {186, 4294967};
  EXPECT_EQ(KernelState::parse(state.to_text()), state);
  EXPECT_EQ(KernelState::parse(state.to_text() + "announced main\n"), std::nullopt);
}

}  // namespace
}  // namespace vipgate
