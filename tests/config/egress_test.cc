#include <algorithm>
#include <chrono>
#include <random>

#include "fault_cases.h"

namespace vipgate {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Ipv4Prefix net(std::string_view text) {
  return Ipv4Prefix::parse(text).value();
}

std::string with_egress(const std::string& entries) {
  return in_top("\"egress\": [" + entries + "]");
}
std::string entry(const std::string& from, const std::string& as = "\"203.0.113.10\"",
                  const std::string& members = "") {
  return "{\"from\": " + from + ", \"as\": " + as + members + "}";
}
std::string except(const std::string& list) {
  return with_egress(entry("\"10.0.0.0/24\"", "\"203.0.113.10\"", ", \"except\": " + list));
}

TEST(Egress, Faults) {
  const std::vector<FaultCase> cases{
      {"no list", in_top(R"("egress": @{})"), "\"egress\": an object must be a list of { } with \"from\" and \"as\""},
      {"no object", with_egress("@\"10.0.0.0/24\""), "an egress entry must be an object { }"},
      {"no from", with_egress(R"(@{"as": "203.0.113.10"})"), "\"from\" is missing: an egress entry needs the prefix"},
      {"no as", with_egress(R"(@{"from": "10.0.0.0/24"})"), "\"as\" is missing: an egress entry needs the VIP"},
      {"unknown", with_egress(entry("\"10.0.0.0/24\"", "\"203.0.113.10\"", R"(, @"exept": [])")),
       "did you mean \"except\"?"},
      {"from no prefix", with_egress(entry("@5")), "\"from\": 5 must be an IPv4 prefix"},
      {"from with host bits", with_egress(entry("@\"10.0.0.1/24\"")), "did you mean \"10.0.0.0/24\"?"},
      {"from loopback", with_egress(entry("@\"127.0.0.1\"")),
       "127.0.0.1/32 overlaps 127.0.0.0/8, a loopback network; write the prefix of your private hosts"},
      {"from multicast", with_egress(entry("@\"224.0.0.0/8\"")), "overlaps 224.0.0.0/4, a multicast network"},
      {"from everywhere", with_egress(entry("@\"0.0.0.0/0\"")), "overlaps 127.0.0.0/8"},
      {"as no address", with_egress(entry("\"10.0.0.0/24\"", "@\"203.0.113.8/29\"")), "must be an IPv4 address"},
      {"as an interface", with_egress(entry("\"10.0.0.0/24\"", "@{\"interface\": \"ppp0\"}")), "\"as\": not built yet"},
      {"as no VIP", with_egress(entry("\"10.0.0.0/24\"", "@\"203.0.113.11\"")),
       "\"as\": 203.0.113.11 is no VIP of this file; write one of \"vips\", or add it there"},
      {"except no list", except("@\"10.0.0.0/8\""), "must be a list of IPv4 prefixes"},
      {"except twice", except(R"([#"10.0.0.0/8", @"10.0.0.0/8"])"), "\"except\": 10.0.0.0/8 is in the list twice"},
      {"except no prefix", except(R"([@"10.0.0.0/33"])"), "must be an IPv4 prefix"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
}

TEST(Egress, Settings) {
  const auto rules = [](const std::string& entries) { return accept(with_egress(entries)).rules.egress; };
  EXPECT_THAT(rules(""), IsEmpty());
  std::vector<Egress> egress = rules(entry("\"10.0.0.0/24\""));
  ASSERT_EQ(egress.size(), 1U);
  EXPECT_EQ(egress[0].from, net("10.0.0.0/24"));
  EXPECT_EQ(egress[0].as, Ipv4Address::parse("203.0.113.10"));
  EXPECT_THAT(egress[0].except, ElementsAre(net("10.0.0.0/8"), net("172.16.0.0/12"), net("192.168.0.0/16")));

  egress = accept(except(R"(["192.0.2.0/24", "10.9.0.1"])")).rules.egress;
  EXPECT_THAT(egress.at(0).except, ElementsAre(net("192.0.2.0/24"), net("10.9.0.1/32")));
  EXPECT_THAT(accept(except("[]")).rules.egress.at(0).except, IsEmpty());
  EXPECT_EQ(rules(entry("\"10.0.0.2\"")).at(0).from, net("10.0.0.2/32")) << "a backend may be one too";
}

TEST(EgressConflicts, Overlaps) {
  const std::vector<FaultCase> cases{
      {"twice", with_egress(entry("#\"10.0.0.0/24\"") + ",\n" + entry("@\"10.0.0.0/24\"")),
       "\"from\": 10.0.0.0/24 is there already at"},
      {"narrower after wider", with_egress(entry("#\"10.0.0.0/24\"") + ",\n" + entry("@\"10.0.0.16/28\"")),
       "\"from\": 10.0.0.16/28 is never used: it lies in 10.0.0.0/24 at"},
      {"not beside its neighbour",
       with_egress(entry("#\"10.0.0.0/16\"") + "," + entry("\"10.1.0.0/24\"") + ",\n" + entry("@\"10.0.9.0/24\"")),
       "10.0.9.0/24 is never used"},
      {"behind one that is no cause",
       with_egress(entry("#\"10.0.0.0/8\"") + "," + entry("\"11.0.0.0/24\"") + ",\n" + entry("\"8.0.0.0/6\"") + ",\n" +
                   entry("@\"10.0.9.0/24\"")),
       "it lies in 10.0.0.0/8 at"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
  accept(with_egress(entry("\"10.0.0.16/28\"") + "," + entry("\"10.0.0.0/24\"") + "," + entry("\"10.0.0.0/8\"")));
  accept(with_egress(entry("\"10.0.0.0/24\"") + "," + entry("\"10.0.1.0/24\"")));
}

TEST(EgressConflicts, TheGatewaysOwnAddresses) {
  const auto file = [](const std::string& from, const std::string& masquerade = "") {
    return R"({"tun": {"subnet": [#"203.0.113.8/29"]},)" + masquerade +
           R"("vips": [{"address": "203.0.113.10", "services": [{"protocol": "tcp", "port": 80, "backends": [{"address": "10.0.0.2"}]}]}],)"
           "\n\"egress\": [" +
           entry(from) + "]}";
  };
  const std::vector<FaultCase> cases{
      {"inside the subnet", file("@\"203.0.113.12/32\""),
       "\"from\": 203.0.113.12/32 overlaps the tun's subnet 203.0.113.8/29 at"},
      {"the default masquerade address", file("@\"203.0.113.14\""), "overlaps the tun's subnet"},
      {"a VIP",
       R"({"tun": {"subnet": "203.0.113.8/29"}, "vips": [{"address": #"203.0.113.10", "services": [{"protocol": "tcp", "port": 80,
           "backends": [{"address": "10.0.0.2"}]}]}], "egress": [)" +
           entry("@\"203.0.113.10/31\"") + "]}",
       "overlaps VIP 203.0.113.10 at"},
      {"a masquerade address",
       R"({"tun": {"subnet": "203.0.113.8/29"}, "masquerade": [#"10.0.0.250"], "vips": [{"address": "203.0.113.10", "services": [
           {"protocol": "tcp", "port": 80, "backends": [{"address": "10.0.0.2"}]}]}], "egress": [)" +
           entry("@\"10.0.0.0/24\"") + "]}",
       "overlaps masquerade address 10.0.0.250 at"},
      {"around a subnet without VIPs",
       R"({"tun": {"subnet": ["203.0.113.8/29", #"192.0.2.0/28"]}, "vips": [{"address": "203.0.113.10", "services": [
           {"protocol": "tcp", "port": 80, "backends": [{"address": "10.0.0.2"}]}]}], "egress": [)" +
           entry("@\"192.0.2.0/24\"") + "]}",
       "overlaps the tun's subnet 192.0.2.0/28 at"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
  accept(take_marks(file("\"203.0.113.0/29\"")).text);
  accept(take_marks(file("\"203.0.113.16/28\"")).text);
}

TEST(EgressConflicts, AVipThatCouldNotBeReadMayBeTheOneMeant) {
  expect_fault(
      {"unreadable VIP",
       R"({"tun": {"subnet": "203.0.113.8/29"}, "vips": [{"address": @"203.0.113", "services": [{"protocol": "tcp", "port": 80,
                    "backends": [{"address": "10.0.0.2"}]}]}], "egress": [)" +
           entry("\"10.0.0.0/24\"") + "]}",
       "must be an IPv4 address"});
  expect_fault(
      {"beside one that could",
       with_vips(
           R"({"address": @"203.0.113", "services": [{"protocol": "tcp", "port": 80, "backends": [{"address": "10.0.0.2"}]}]},
                             {"address": "203.0.113.11", "services": [{"protocol": "tcp", "port": 80, "backends": [{"address": "10.0.0.2"}]}]})",
           "\"egress\": [" + entry("\"10.0.0.0/24\"") + "],"),
       "must be an IPv4 address"});
}

TEST(EgressConflicts, AllocatedPorts) {
  const auto file = [](const std::string& port, const std::string& as = "#\"203.0.113.10\"") {
    return R"({"tun": {"subnet": "203.0.113.8/29"}, "egress": [)" + entry("\"10.0.0.0/24\"", as) +
           R"(], "vips": [
             {"address": "203.0.113.10", "services": [{"protocol": "udp", "port": )" +
           port + R"(, "backends": [{"address": "10.0.0.2"}]}]},
             {"address": "203.0.113.11", "services": [{"protocol": "tcp", "port": 80, "backends": [{"address": "10.0.0.2"}]}]}]})";
  };
  const std::vector<FaultCase> cases{
      {"first", file("@32768"),
       "\"port\": 32768 of VIP 203.0.113.10: it gives out 32768-65535 itself, to the egress at"},
      {"last", file("@65535"), "serve on lower ports, or on another VIP"},
      {"a range", file("@\"1-65535\""), "1-65535 of VIP"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
  accept(take_marks(file("32767")).text);
  accept(take_marks(file("\"*\"")).text);
  accept(take_marks(file("40000", "\"203.0.113.11\"")).text);
}

/// The errors about order against the plain definition: an entry is never used if an earlier one holds it.
TEST(EgressConflicts, OrderMatchesTheDefinition) {
  std::mt19937 random(4787);
  for (int round = 0; round < 200; ++round) {
    std::vector<Ipv4Prefix> prefixes;
    std::string entries;
    std::size_t expected = 0;
    for (std::size_t i = 1 + random() % 12; i > 0; --i) {
      const Ipv4Prefix prefix(Ipv4Address(0x0A000000 + random() % 16), 28 + static_cast<int>(random() % 5));
      expected +=
          std::any_of(prefixes.begin(), prefixes.end(), [&](Ipv4Prefix p) { return p.contains(prefix); }) ? 1 : 0;
      prefixes.push_back(prefix);
      entries += (entries.empty() ? "" : ",") + entry("\"" + prefix.to_string() + "\"");
    }
    EXPECT_EQ(errors_of(with_egress(entries)).size(), expected) << entries;
  }
}

TEST(EgressConflicts, ManyEntriesAreFast) {
  std::string entries;
  for (int i = 0; i < 20000; ++i) {
    entries +=
        (i == 0 ? "" : ",") + entry("\"10." + std::to_string(i / 256) + "." + std::to_string(i % 256) + ".0/24\"");
  }
  const ProcessorTime taken;
  EXPECT_EQ(accept(with_egress(entries)).rules.egress.size(), 20000U);
  EXPECT_LT(taken.seconds(), ProcessorTime::kTooMuch);
}

}  // namespace
}  // namespace vipgate
