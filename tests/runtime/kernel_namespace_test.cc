// KernelSetup against the kernel itself, compared with what ip(8) and /proc say.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "device/namespace.h"
#include "device/netlink.h"
#include "device/tun.h"
#include "kernel_example.h"
#include "runtime/kernel_setup.h"
#include "support/temporary_folder.h"

namespace vipgate {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// The host of kernel_example.h, with a state folder.
class Host {
 public:
  Host() {
    shell("ip link add eth0 type veth peer name client; ip link add eth1 type veth peer name server");
    // Without IPv6 addresses, which take a second to settle.
    shell("for d in eth0 eth1 client server; do ip link set $d addrgenmode none up; done");
    shell(
        "ip addr add 198.51.100.1/24 dev eth0; ip addr add 10.0.0.1/24 dev eth1; ip route add default via "
        "198.51.100.254");
    shell("sysctl -qw net.ipv4.conf.all.accept_redirects=0 net.ipv4.conf.eth0.forwarding=1");  // unlike what ip_forward
                                                                                               // would set
    kernel_ = NetlinkKernel::open().value();
    config_ = example_config(SourceMode::preserve);
    config_.flows.state_dir = folder_.path();
  }

  TunDevice open_tun() const {
    TunOptions options;
    options.queues = 2;
    return TunDevice::open(options).value();
  }
  std::unique_ptr<KernelSetup> make() {
    return std::make_unique<KernelSetup>(*kernel_, [this](const std::string& line) { log_.push_back(line); });
  }
  absl::Status start(KernelSetup& setup, const TunDevice& tun) {
    return setup.apply(config_, tun.created() ? TunOrigin::created : TunOrigin::found);
  }

  test::TemporaryFolder folder_;
  std::unique_ptr<NetlinkKernel> kernel_;
  Config config_;
  std::vector<std::string> log_;
};

using Dump = std::set<std::string>;

/// All that vipgate could change, as others see it, a line each.
Dump dump() {
  // Which queueing discipline a device has depends on whether it was ever up.
  const std::string text = shell(
      "ip rule; ip route show table all; ip -br address; ip -o link | sed 's/^[0-9]*: //; s/ qdisc [a-z_]*//'; "
      "grep -rs . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf || true");
  return absl::StrSplit(text, '\n');
}

/// The lines that came (+) and went (-).
std::vector<std::string> difference(const Dump& before, const Dump& after) {
  std::vector<std::string> lines;
  for (const std::string& line : before) {
    if (!after.contains(line)) lines.push_back("- " + line);
  }
  for (const std::string& line : after) {
    if (!before.contains(line)) lines.push_back("+ " + line);
  }
  return lines;
}

NAMESPACE_TEST(KernelNamespace, the_kernel_shows_what_was_planned) {
  Host host;
  TunDevice tun = host.open_tun();
  const auto setup = host.make();
  const absl::Status status = host.start(*setup, tun);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(shell("ip rule"),
              AllOf(HasSubstr("100:\tfrom all iif tun0 lookup main proto 86"),
                    HasSubstr("101:\tfrom 10.0.0.2/31 iif eth1 lookup 187 proto 86"),
                    HasSubstr("101:\tfrom 10.0.0.8 iif eth1 lookup 187 proto 86"),
                    HasSubstr("104:\tfrom all iif lo ipproto icmp dport 768-1023 lookup 187 proto 86"),
                    HasSubstr("104:\tfrom all iif eth1 ipproto icmp lookup 187 proto 86"),
                    HasSubstr("105:\tfrom all to 10.0.0.2/31 iif eth0 prohibit proto 86"),
                    Not(HasSubstr("iif eth1 prohibit"))));
  EXPECT_THAT(shell("ip route"),
              AllOf(HasSubstr("203.0.113.8/29 dev tun0 proto 86 scope link"),
                    HasSubstr("203.0.113.10 dev tun0 proto 86"), HasSubstr("203.0.113.14 dev tun0 proto 86")));
  EXPECT_EQ(shell("ip route show table 187"), "default dev tun0 proto 86 scope link \n");
  EXPECT_THAT(shell("ip link show tun0"), AllOf(HasSubstr("mtu 1400"), HasSubstr("UP")));
  EXPECT_EQ(shell("cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/tun0/forwarding "
                  "/proc/sys/net/ipv4/conf/tun0/rp_filter"),
            "1\n1\n0\n");
  EXPECT_EQ(shell("ip -6 addr show dev tun0"), "") << "no IPv6 noise";

  const Dump applied = dump();
  host.log_.clear();
  EXPECT_TRUE(host.start(*setup, tun).ok());
  EXPECT_THAT(host.log_, IsEmpty());
  EXPECT_THAT(setup->check().value(), IsEmpty());
  EXPECT_THAT(difference(applied, dump()), IsEmpty()) << "a second apply changes nothing";
}

NAMESPACE_TEST(KernelNamespace, the_end_leaves_all_as_it_was) {
  Host host;
  const Dump before = dump();
  TunDevice tun = host.open_tun();
  const auto setup = host.make();
  ASSERT_TRUE(host.start(*setup, tun).ok());
  EXPECT_NE(dump(), before);
  setup->restore();
  EXPECT_THAT(difference(before, dump()), IsEmpty());
  EXPECT_TRUE(std::filesystem::is_empty(host.folder_.path()));
}

NAMESPACE_TEST(KernelNamespace, a_killed_run_is_taken_over_and_then_taken_back) {
  Host host;
  const Dump before = dump();
  for (int i = 0; i < 2; ++i) {
    TunDevice tun = host.open_tun();
    EXPECT_EQ(tun.created(), i == 0);
    ASSERT_TRUE(host.start(*host.make(), tun).ok());  // dropped without restore(), as by a kill
  }
  EXPECT_EQ(shell("cat /proc/sys/net/ipv4/ip_forward"), "1\n");
  shell(
      "ip rule add pref 101 iif eth1 from 10.0.0.99 lookup 187 proto 86; ip route add 203.0.113.99 dev tun0 proto 86");
  TunDevice tun = host.open_tun();
  const auto setup = host.make();
  ASSERT_TRUE(host.start(*setup, tun).ok());
  EXPECT_THAT(shell("ip rule"), AllOf(Not(HasSubstr("10.0.0.99")), HasSubstr("prohibit")));
  EXPECT_THAT(shell("ip route"), Not(HasSubstr("203.0.113.99")));
  setup->restore();
  EXPECT_THAT(difference(before, dump()), IsEmpty());
}

NAMESPACE_TEST(KernelNamespace, what_others_added_stays) {
  Host host;
  shell("ip rule add pref 100 from 192.0.2.1 lookup 10");
  shell(
      "ip route add 192.0.2.0/24 dev eth1 proto 86; ip tuntap add tun0 mode tun multi_queue; ip link set tun0 mtu "
      "1300");
  const Dump before = dump();
  TunDevice tun = host.open_tun();
  EXPECT_FALSE(tun.created());
  const auto setup = host.make();
  ASSERT_TRUE(host.start(*setup, tun).ok());
  EXPECT_THAT(shell("ip link show tun0"), HasSubstr("mtu 1400"));
  setup->restore();
  { const TunDevice closed = std::move(tun); }
  EXPECT_THAT(difference(before, dump()), IsEmpty());
}

NAMESPACE_TEST(KernelNamespace, check_puts_back_what_was_deleted) {
  Host host;
  TunDevice tun = host.open_tun();
  const auto setup = host.make();
  ASSERT_TRUE(host.start(*setup, tun).ok());
  (void)setup->check();
  EXPECT_THAT(setup->check().value(), IsEmpty());
  const Dump applied = dump();

  shell("ip rule del pref 100");
  EXPECT_THAT(setup->check().value(), ElementsAre(AllOf(HasSubstr("rule 100"), HasSubstr("put back"))));
  shell("ip rule flush; ip rule add pref 32766 lookup main");  // as a network manager may do
  EXPECT_EQ(setup->check().value().size(), 12U);
  shell("ip route flush table 187; ip route del 203.0.113.10 dev tun0");
  EXPECT_EQ(setup->check().value().size(), 2U);
  shell("ip link set tun0 down");
  EXPECT_EQ(setup->check().value().size(), 5U) << "up again, and the four routes that went with it";
  shell("echo 0 > /proc/sys/net/ipv4/ip_forward");
  EXPECT_THAT(setup->check().value(), Contains(HasSubstr("ip_forward set to 1")));
  shell("ip rule add pref 32767 lookup default 2>/dev/null; true");
  EXPECT_THAT(difference(applied, dump()), IsEmpty());
}

NAMESPACE_TEST(KernelNamespace, check_follows_a_new_interface) {
  Host host;
  TunDevice tun = host.open_tun();
  const auto setup = host.make();
  ASSERT_TRUE(host.start(*setup, tun).ok());
  (void)setup->check();
  shell("ip link add wlan0 type veth peer name elsewhere");
  EXPECT_THAT(setup->check().value(), Contains(HasSubstr("to 10.0.0.2/31 iif wlan0 prohibit")));
  EXPECT_THAT(shell("ip rule"), HasSubstr("105:\tfrom all to 10.0.0.2/31 iif wlan0 prohibit"));
  shell("ip link delete wlan0");
  EXPECT_THAT(setup->check().value(), Contains(AllOf(HasSubstr("wlan0"), HasSubstr("removed"))));
  EXPECT_THAT(shell("ip rule"), Not(HasSubstr("wlan0")));
}

NAMESPACE_TEST(KernelNamespace, egress_comes_and_goes) {
  Host host;
  const Dump before = dump();
  TunDevice tun = host.open_tun();
  const auto setup = host.make();
  const Config plain = host.config_;
  ASSERT_TRUE(host.start(*setup, tun).ok());
  const Dump without = dump();
  host.config_.rules.egress = {
      {.from = net("10.0.0.0/24"), .as = ip("203.0.113.10"), .except = {net("10.0.0.0/8"), net("192.168.0.0/16")}}};
  ASSERT_TRUE(host.start(*setup, tun).ok());
  EXPECT_THAT(shell("ip rule"),
              AllOf(HasSubstr("102:\tfrom 10.0.0.0/24 to 10.0.0.0/8 iif eth1 lookup main proto 86"),
                    HasSubstr("102:\tfrom 10.0.0.0/24 to 192.168.0.0/16 iif eth1 lookup main proto 86"),
                    HasSubstr("103:\tfrom 10.0.0.0/24 iif eth1 lookup 187 proto 86"),
                    HasSubstr("105:\tfrom all to 10.0.0.0/24 iif eth0 prohibit proto 86")));
  const auto way = [](const std::string& query) { return shell("ip route get " + query + " 2>&1 || true"); };
  EXPECT_THAT(way("8.8.8.8 from 10.0.0.5 iif eth1"), HasSubstr("dev tun0")) << "a flow of its own";
  EXPECT_THAT(way("192.168.0.1 from 10.0.0.5 iif eth1"), HasSubstr("dev eth0")) << "an exception";
  EXPECT_THAT(way("192.168.0.1 from 10.0.0.2 iif eth1"), HasSubstr("dev tun0"))
      << "perhaps a reply of a preserve service";
  EXPECT_THAT(way("10.0.0.1 from 10.0.0.5 iif eth1"), HasSubstr("local")) << "this host";
  EXPECT_THAT(way("203.0.113.10 from 10.0.0.5 iif eth1"), HasSubstr("dev tun0")) << "a VIP";
  EXPECT_THAT(way("203.0.113.14 from 10.0.0.5 iif eth1"), HasSubstr("dev tun0")) << "a masquerade address";
  EXPECT_THAT(way("8.8.8.8 from 10.0.0.5 iif tun0"), HasSubstr("dev eth0")) << "written back";
  EXPECT_THAT(way("10.0.0.5 from 8.8.8.8 iif tun0"), HasSubstr("dev eth1"));
  EXPECT_THAT(way("10.0.0.5 from 198.51.100.7 iif eth0"), HasSubstr("denied")) << "the guard";
  host.config_ = plain;
  ASSERT_TRUE(host.start(*setup, tun).ok());
  EXPECT_THAT(difference(without, dump()), IsEmpty());
  setup->restore();
  EXPECT_THAT(difference(before, dump()), IsEmpty());
}

NAMESPACE_TEST(KernelNamespace, a_deleted_tun_is_told) {
  Host host;
  TunDevice tun = host.open_tun();
  const auto setup = host.make();
  ASSERT_TRUE(host.start(*setup, tun).ok());
  (void)setup->check();
  shell("ip link delete tun0");
  const absl::Status status = setup->check().status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(status.ToString(), HasSubstr("tun0 is gone"));
  setup->restore();
  EXPECT_THAT(dump(), Not(Contains(HasSubstr("proto 86"))));
  EXPECT_EQ(shell("cat /proc/sys/net/ipv4/ip_forward"), "0\n");
}

NAMESPACE_TEST(KernelNamespace, a_conflict_undoes_the_start) {
  Host host;
  shell("ip route add 203.0.113.8/29 dev eth1");
  const Dump before = dump();
  TunDevice tun = host.open_tun();
  const absl::Status status = host.start(*host.make(), tun);
  EXPECT_THAT(status.ToString(), AllOf(HasSubstr("203.0.113.8/29 is already routed to eth1"), HasSubstr("Remedy")));
  EXPECT_THAT(difference(before, dump()), IsEmpty());
}

NAMESPACE_TEST(KernelNamespace, strict_reverse_path_filtering_is_loosened_on_the_tun) {
  Host host;
  shell("sysctl -qw net.ipv4.conf.all.rp_filter=1");
  const Dump before = dump();
  TunDevice tun = host.open_tun();
  const auto setup = host.make();
  ASSERT_TRUE(host.start(*setup, tun).ok());
  EXPECT_EQ(shell("cat /proc/sys/net/ipv4/conf/tun0/rp_filter"), "2\n");
  EXPECT_THAT(shell("ip addr show dev tun0"), HasSubstr("169.254.86.1/32 scope link"));
  EXPECT_THAT(setup->check().value(), IsEmpty());
  setup->restore();
  EXPECT_THAT(difference(before, dump()), IsEmpty());
}

NAMESPACE_TEST(KernelNamespace, a_second_gateway_needs_numbers_of_its_own) {
  Host host;
  TunDevice tun = host.open_tun();
  const auto setup = host.make();
  ASSERT_TRUE(host.start(*setup, tun).ok());
  const Dump running = dump();

  Config second = host.config_;
  second.tun.name = "tun1";
  second.flows.state_dir = host.folder_.path() + "/second";
  TunOptions options;
  options.name = "tun1";
  TunDevice other = TunDevice::open(options).value();
  EXPECT_THAT(host.make()->apply(second, TunOrigin::created).ToString(), HasSubstr("kernel.protocol 86"));
  EXPECT_THAT(difference(running, dump()), IsEmpty());
}

NAMESPACE_TEST(KernelNamespace, many_vips_are_set_up_quickly) {
  Host host;
  host.config_.rules.vips.clear();
  host.config_.rules.subnets = {net("172.16.0.0/16")};
  for (std::uint32_t i = 0; i < 2000; ++i) {
    Vip vip;
    vip.address = Ipv4Address(ip("172.16.1.0").value() + i);
    vip.services = {example_service("web", SourceMode::masquerade, {"10.0.0.2"})};
    host.config_.rules.vips.push_back(vip);
  }
  TunDevice tun = host.open_tun();
  const auto setup = host.make();
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(host.start(*setup, tun).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
  EXPECT_EQ(shell("ip route show dev tun0 | wc -l"), "2002\n");
}

}  // namespace
}  // namespace vipgate
