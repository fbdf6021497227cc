#include "fault_cases.h"

// VIPs that are addresses of this host, too.
namespace vipgate {
namespace {

const std::string kService = R"({"protocol": "tcp", "port": 80, "backends": [{"address": "10.0.0.2"}]})";

/// A file with one shared VIP.
std::string shared(const std::string& members, const std::string& service = kService,
                   const std::string& top = R"("masquerade": ["10.0.0.250"])") {
  return R"({)" + top + (top.empty() ? "" : ",") + R"("vips": [{"address": "198.51.100.1", "shared": true, )" +
         members + R"("services": [)" + service + "]}]}";
}

/// The same with members of the service.
std::string in_shared_service(const std::string& port, const std::string& members) {
  return shared(
      "", R"({"protocol": "tcp", "port": )" + port + R"(, "backends": [{"address": "10.0.0.2"}])" + members + "}");
}

TEST(Shared, NeedsNoSubnet) {
  const Config config = accept(shared(""));
  EXPECT_TRUE(config.rules.vips.at(0).shared);
  EXPECT_EQ(config.rules.vips.at(0).ping, Ping::always);
  EXPECT_THAT(config.rules.subnets, testing::IsEmpty());
  EXPECT_EQ(config.tun.name, "tun0");
  EXPECT_THAT(config.announcements, testing::IsEmpty());
}

TEST(Shared, StandsBesideOthersOutsideOfTheSubnet) {
  const Config config = accept(with_vips(R"({"address": "198.51.100.1", "shared": true, "services": [)" + kService +
                                         R"(]}, {"address": "203.0.113.10", "services": [)" + kService + "]}"));
  EXPECT_TRUE(config.rules.vips.at(0).shared);
  EXPECT_FALSE(config.rules.vips.at(1).shared);
  EXPECT_THAT(config.rules.masquerade, testing::ElementsAre(Ipv4Address(0xCB00710E))) << "of the others' subnet";
}

TEST(Shared, MembersThatSayWhatHoldsAnyway) {
  const Config config = accept(shared(R"("ping": true, "unmatched": "drop", )"));
  EXPECT_EQ(config.rules.vips.at(0).unmatched, Unmatched::drop);
}

TEST(Shared, Faults) {
  const std::string other = R"({"address": "203.0.113.10", "services": [)" + kService + "]}";
  const std::vector<FaultCase> cases{
      {"word",
       R"({"tun": {"subnet": "198.51.100.0/29"}, "vips": [{"address": "198.51.100.1", "shared": @"yes", "services": [)" +
           kService + "]}]}",
       "\"shared\": \"yes\" must be true or false"},
      {"ping", shared(R"("ping": @false, )"), "\"ping\": this host itself answers at a shared VIP; leave it out"},
      {"announced", shared(R"("announce": @{"arp": ["eth0"]}, )"),
       "\"announce\": a shared VIP is this host's own address, which its neighbours know already; leave it out"},
      {"every port", in_shared_service("@\"*\"", ""), "nobody could log in any more; name the ports"},
      {"every port by default",
       R"({"masquerade": ["10.0.0.250"], "defaults": {"port": "*"}, "vips": [{"address": "198.51.100.1", "shared": true, )"
       R"("services": [@{"protocol": "tcp", "backends": [{"address": "10.0.0.2"}]}]}]})",
       "nobody could log in any more; name the ports"},
      {"helper", in_shared_service("21", R"(, "helper": @"ftp")"),
       "those of the shared VIP 198.51.100.1 are this host's; use a VIP that is not shared"},
      {"default helper", shared("", kService, R"("masquerade": ["10.0.0.250"], "defaults": {"helper": @"ftp"})"),
       "or write \"helper\": \"none\" at its services"},
      {"egress",
       shared("", kService,
              R"("masquerade": ["10.0.0.250"], "egress": [{"from": "10.0.1.0/24", "as": @"198.51.100.1"}])"),
       "\"as\": 198.51.100.1 is a shared VIP, whose ports are this host's own; write a VIP that is not shared"},
      {"in the subnet",
       R"({"tun": {"subnet": #"198.51.100.0/29"}, "vips": [{"address": @"198.51.100.1", "shared": true, "services": [)" +
           kService + "]}]}",
       "the shared VIP 198.51.100.1 lies in the tun's subnet 198.51.100.0/29"},
      {"nothing to masquerade with",
       R"({"vips": [{"address": @"198.51.100.1", "shared": true, "services": [)" + kService + "]}]}",
       "without a \"subnet\" of the tun there is none; name an unused address in \"masquerade\""},
      {"no tun for the other",
       R"(@{"masquerade": ["10.0.0.250"], "vips": [{"address": "198.51.100.1", "shared": true, "services": [)" +
           kService + "]}, " + other + "]}",
       "\"tun\" is missing"},
      {"no subnet for the other",
       R"({"masquerade": ["10.0.0.250"], "tun": @{"mtu": 1400}, "vips": [{"address": "198.51.100.1", "shared": true, "services": [)" +
           kService + "]}, " + other + "]}",
       "\"subnet\" is missing"},
      {"masquerade address", shared("", kService, R"("masquerade": [{"address": "10.0.0.250", "shared": @true}])"),
       "\"shared\": not built yet as true; leave it out"},
      {"masqueraded as",
       R"({"masquerade": [#"198.51.100.1"], "vips": [{"address": @"198.51.100.1", "shared": true, "services": [)" +
           kService + "]}]}",
       "198.51.100.1 is a VIP here and a masquerade address at"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
}

/// A file with VIPs that follow interfaces.
std::string following(const std::vector<std::string>& addresses, const std::string& top = "") {
  std::string vips;
  for (const std::string& address : addresses) {
    vips += std::string(vips.empty() ? "" : ", ") + R"({"address": )" + address + R"(, "shared": true, "services": [)" +
            kService + "]}";
  }
  return R"({"masquerade": ["10.0.0.250"], )" + top + R"("vips": [)" + vips + "]}";
}

TEST(Shared, FollowsAnInterface) {
  const Config config = accept(following({R"({"interface": "ppp0"})", R"({"interface": "ppp1"})"}));
  const Vip& vip = config.rules.vips.at(0);
  EXPECT_EQ(vip.interface, "ppp0");
  EXPECT_EQ(vip.address, Ipv4Address()) << "known when it runs";
  EXPECT_EQ(vip.services.at(0).name, "tcp/ppp0:80");
}

TEST(Shared, FaultsOfInterfaces) {
  const std::vector<FaultCase> cases{
      {"no key", following({"@{}"}), "\"interface\" is missing"},
      {"another key", following({R"({@"device": "ppp0", "interface": "ppp0"})"}), "unknown key \"device\""},
      {"no name", following({R"({"interface": @5})"}), "must be an interface name"},
      {"twice", following({R"(#{"interface": "ppp0"})", R"(@{"interface": "ppp0"})"}),
       "\"interface\": the address of \"ppp0\" is a VIP already"},
      {"the TUN", following({R"(@{"interface": "tun0"})"}), "\"tun0\" is the TUN itself"},
      {"egress",
       following({R"({"interface": "ppp0"})"}, R"("egress": [{"from": "10.0.1.0/24", "as": @"198.51.100.1"}], )"),
       "198.51.100.1 is no VIP of this file"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
}

}  // namespace
}  // namespace vipgate
