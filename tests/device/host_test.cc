// What is asked of a host without changing it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device/ethtool.h"
#include "device/netlink.h"
#include "device/nft_tables.h"
#include "namespace.h"

namespace vipgate {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

NAMESPACE_TEST(Host, cards_say_whether_they_join_packets) {
  shell("ip link add eth1 type veth peer name peer1; ethtool -K eth1 gro on; ethtool -K peer1 gro off");
  EXPECT_EQ(merges_packets("eth1"), true);
  EXPECT_EQ(merges_packets("peer1"), false);
  EXPECT_EQ(merges_packets("absent"), std::nullopt);
}

NAMESPACE_TEST(Host, tables_of_nftables_are_listed) {
  EXPECT_THAT(nft_tables().value(), IsEmpty());
  shell("nft add table inet one; nft add table ip two; nft add table ip6 three");
  EXPECT_THAT(nft_tables().value(), UnorderedElementsAre("inet one", "ip two"));
}

NAMESPACE_TEST(Host, routes_are_looked_up_as_the_kernel_does) {
  shell("ip link add eth1 type veth peer name peer1; ip link set peer1 up; ip link set eth1 up");
  shell("ip addr add 10.0.0.1/24 dev eth1; ip route add 192.0.2.0/24 via 10.0.0.9");
  shell("ip route add unreachable 192.0.2.7; ip route add blackhole 192.0.2.8; ip route add prohibit 192.0.2.9");
  shell("ip rule add pref 50 to 10.0.0.66 prohibit");
  const auto kernel = NetlinkKernel::open().value();
  const auto to = [&](const char* text) { return kernel->route_to(Ipv4Address::parse(text).value()); };
  EXPECT_EQ(to("10.0.0.2")->device, "eth1");
  EXPECT_EQ(to("10.0.0.2")->gateway, std::nullopt);
  EXPECT_EQ(to("192.0.2.1")->gateway, Ipv4Address::parse("10.0.0.9"));
  EXPECT_EQ(to("10.0.0.1")->type, RouteType::local);
  EXPECT_THAT(to("192.0.2.7").status().message(), HasSubstr("No route to host"));
  EXPECT_THAT(to("192.0.2.8").status().message(), HasSubstr("blackhole"));
  EXPECT_THAT(to("192.0.2.9").status().message(), HasSubstr("prohibits"));
  EXPECT_THAT(to("10.0.0.66").status().message(), HasSubstr("prohibits"));
  EXPECT_THAT(to("198.51.100.1").status().message(), HasSubstr("unreachable"));
}

}  // namespace
}  // namespace vipgate
