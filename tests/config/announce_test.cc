#include "fault_cases.h"

namespace vipgate {
namespace {

TEST(Announce, DefaultIsNowhere) {
  EXPECT_THAT(accept(in_vip(R"("ping": true)")).announcements, testing::IsEmpty());
}

TEST(Announce, VipsComeBeforeMasqueradeAddresses) {
  const std::string services =
      R"("services": [{"protocol": "tcp", "port": 80, "backends": [{"address": "10.0.0.2"}]}])";
  const Config config = accept(with_vips(
      R"({"address": "203.0.113.11", )" + services + R"(, "announce": {"arp": ["eth0", "eth2"], "route_table": 186}},
         {"address": "203.0.113.12", )" +
          services + R"(},
         {"address": "203.0.113.10", )" +
          services + R"(, "announce": {"route_table": 4294967}})",
      R"("masquerade": ["10.0.0.251", {"address": "10.0.0.250", "announce": {"arp": ["eth1"]}}],)"));
  const std::vector<Announcement> expected{
      {.address = Ipv4Address(0xCB00710B), .vip = true, .arp = {"eth0", "eth2"}, .route_table = 186},
      {.address = Ipv4Address(0xCB00710A), .vip = true, .route_table = 4294967},
      {.address = Ipv4Address(0x0A0000FA), .vip = false, .arp = {"eth1"}}};
  EXPECT_EQ(config.announcements, expected);
}

TEST(Announce, Faults) {
  const std::vector<FaultCase> cases{
      {"no object", in_vip(R"("announce": @["eth0"])"), "\"announce\" must be an object { }"},
      {"empty", in_vip(R"("announce": @{})"), "\"announce\": is empty; leave it out"},
      {"unknown", in_vip(R"("announce": {@"route-table": 186})"), "did you mean \"route_table\"?"},
      {"arp: no list", in_vip(R"("announce": {"arp": @"eth0"})"), "must be a list of interface names"},
      {"arp: empty", in_vip(R"("announce": {"arp": @[]})"), "\"arp\": the list is empty; leave it out"},
      {"arp: no name", in_vip(R"("announce": {"arp": [@5]})"), "must be an interface name"},
      {"arp: long name", in_vip(R"("announce": {"arp": [@"an-interface-16c"]})"), "1 to 15 characters"},
      {"arp: twice", in_vip(R"("announce": {"arp": [#"eth0", "eth1", @"eth0"]})"), "\"eth0\" is in the list twice"},
      {"arp: the TUN", in_vip(R"("announce": {"arp": [@"tun0"]})"), "is the TUN itself"},
      {"table: none", in_vip(R"("announce": {"route_table": @0})"), "is not a routing table (1 to 2147483647)"},
      {"table: no number", in_vip(R"("announce": {"route_table": @"vips"})"), "\"route_table\""},
      {"table: default", in_vip(R"("announce": {"route_table": @253})"), "253 to 255 are the kernel's"},
      {"table: main", in_vip(R"("announce": {"route_table": @254})"), "253 to 255 are the kernel's"},
      {"table: local", in_vip(R"("announce": {"route_table": @255})"), "253 to 255 are the kernel's"},
      {"table: vipgate's", in_vip(R"("announce": {"route_table": @187})"),
       "187 is vipgate's own table (\"kernel\", \"table\"), which holds a default route; choose another, such as 186"},
      {"table: vipgate's, masquerade", in_top(R"("kernel": {"table": 186},
                 "masquerade": [{"address": "10.0.0.250", "announce": {"route_table": @186}}])"),
       "choose another, such as 185"},
      {"masquerade: empty", in_top(R"("masquerade": [{"address": "10.0.0.250", "announce": @{}}])"), "is empty"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
}

}  // namespace
}  // namespace vipgate
