#include "fault_cases.h"

namespace vipgate {
namespace {

std::vector<std::string> masquerade_of(const std::string& text) {
  std::vector<std::string> addresses;
  for (const Ipv4Address& address : accept(text).rules.masquerade) addresses.push_back(address.to_string());
  return addresses;
}

/// A file whose VIPs are `last` parts of 203.0.113.x.
std::string with_vips_in(const std::string& subnet, const std::vector<int>& last) {
  std::string vips;
  for (const int part : last) {
    vips += (vips.empty() ? "" : ",\n") + (R"({"address": "203.0.113.)" + std::to_string(part)) +
            R"(", "services": [{"protocol": "tcp", "port": 80, "backends": [{"address": "10.0.0.2"}]}]})";
  }
  return "{\"tun\": {\"subnet\": " + subnet + "}, \"vips\": [" + vips + "]}";
}

TEST(Masquerade, DefaultIsTheLastHostThatIsNoVip) {
  struct Case {
    std::string subnet;
    std::vector<int> vips;
    std::string expected;
  };
  const std::vector<Case> cases{
      {R"("203.0.113.8/29")", {10}, "203.0.113.14"},
      {R"("203.0.113.8/29")", {14}, "203.0.113.13"},
      {R"("203.0.113.8/29")", {15, 14, 13, 8}, "203.0.113.12"},
      {R"("203.0.113.8/29")", {14, 13, 12, 11, 10}, "203.0.113.9"},
      {R"("203.0.113.0/24")", {1}, "203.0.113.254"},
      {R"("203.0.113.8/30")", {9}, "203.0.113.10"},
      {R"("203.0.113.8/31")", {8}, "203.0.113.9"},
      {R"("203.0.113.8/31")", {9}, "203.0.113.8"},
      {R"(["203.0.113.8/32", "203.0.113.20/32"])", {8}, "203.0.113.20"},
      {R"(["203.0.113.8/30", "198.51.100.0/24"])", {9, 10}, "198.51.100.254"},
      {R"(["198.51.100.0/24", "203.0.113.8/30"])", {9, 10}, "198.51.100.254"},
      {R"(["203.0.113.8/30", "255.255.255.254/31"])", {9, 10}, "255.255.255.254"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(masquerade_of(with_vips_in(c.subnet, c.vips)), testing::ElementsAre(c.expected)) << c.subnet;
  }
}

TEST(Masquerade, NoAddressLeft) {
  const std::string remedy = "name an unused address in \"masquerade\"";
  const std::vector<FaultCase> cases{
      {"/32", with_vips_in(R"(@"203.0.113.8/32")", {8}), remedy},
      {"/31", with_vips_in(R"(@"203.0.113.8/31")", {8, 9}), remedy},
      {"/30: network and broadcast address are no hosts", with_vips_in(R"(@"203.0.113.8/30")", {9, 10}), remedy},
      {"two", with_vips_in(R"([@"203.0.113.8/32", "203.0.113.9/32"])", {8, 9}), remedy},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
}

TEST(Masquerade, Listed) {
  EXPECT_THAT(
      masquerade_of(in_top(
          R"("masquerade": ["203.0.113.9", {"address": "10.0.0.250"}, {"address": "10.0.0.251", "shared": false}])")),
      testing::ElementsAre("203.0.113.9", "10.0.0.250", "10.0.0.251"));
  const Config config = accept(with_services(
      R"({"protocol": "tcp", "port": 80, "masquerade": "10.0.0.251", "backends": [{"address": "10.0.0.2"}]})",
      R"("masquerade": ["10.0.0.250", "10.0.0.251"],)"));
  EXPECT_EQ(first_service(config).masquerade, Ipv4Address(0x0A0000FB));
}

TEST(Masquerade, Faults) {
  const std::string service =
      R"({"protocol": "tcp", "port": 80, "masquerade": @"10.0.0.9", "backends": [{"address": "10.0.0.2"}]})";
  const std::vector<FaultCase> cases{
      {"no list", in_top(R"("masquerade": @"10.0.0.250")"), "\"masquerade\": \"10.0.0.250\" must be a list"},
      {"empty", in_top(R"("masquerade": @[])"), "the list is empty; leave it out"},
      {"number", in_top(R"("masquerade": [@5])"), "5 must be an IPv4 address"},
      {"loopback", in_top(R"("masquerade": [@"127.0.0.2"])"), "127.0.0.2 is a loopback address"},
      {"unspecified", in_top(R"("masquerade": [@"0.0.0.0"])"), "0.0.0.0 is no address"},
      {"multicast", in_top(R"("masquerade": [@"224.1.1.1"])"), "is a multicast address"},
      {"broadcast", in_top(R"("masquerade": [{"address": @"255.255.255.255"}])"), "is the broadcast address"},
      {"interface", in_top(R"("masquerade": [{"address": @{"interface": "eth1"}}])"), "\"address\": not built yet"},
      {"ports", in_top(R"("masquerade": [{"address": "10.0.0.250", @"ports": "61000-65535"}])"),
       "\"ports\": not built yet; leave it out"},
      {"shared", in_top(R"("masquerade": [{"address": "10.0.0.250", "shared": @true}])"), "\"shared\": not built yet"},
      {"no address", in_top(R"("masquerade": [@{}])"), "\"address\" is missing"},
      {"unknown", in_top(R"("masquerade": [{"address": "10.0.0.250", @"adress": 1}])"), "did you mean \"address\"?"},
      {"service names another", with_services(service, R"("masquerade": ["10.0.0.250"],)"),
       "10.0.0.9 is not in the list \"masquerade\""},
      {"service names another than the default", with_services(service), "10.0.0.9 is not in the list \"masquerade\""},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
}

}  // namespace
}  // namespace vipgate
