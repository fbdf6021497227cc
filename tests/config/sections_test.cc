#include <chrono>

#include "fault_cases.h"

namespace vipgate {
namespace {

using namespace std::chrono_literals;

TEST(Sections, Faults) {
  const std::vector<FaultCase> cases{
      {"no tun", "@" + in_file(R"("flows": {})"), "\"tun\" is missing"},
      {"tun no object", in_file(R"("tun": @"tun0")"), "\"tun\" must be an object"},
      {"no subnet", in_file(R"("tun": @{"mtu": 1500})"), "\"subnet\" is missing"},
      {"subnets empty", with_subnet("@[]"), "the list is empty"},
      {"subnet no string", with_subnet("@5"), "\"subnet\": 5 must be an IPv4 prefix"},
      {"subnet nonsense", with_subnet("@\"203.0.113.8/33\""), "\"203.0.113.8/33\" must be an IPv4 prefix"},
      {"subnet with host bits", with_subnet(R"(["203.0.113.8/29", @"10.9.0.9/24"])"), "did you mean \"10.9.0.0/24\"?"},
      {"subnet loopback", with_subnet(R"(["203.0.113.8/29", @"127.1.0.0/16"])"),
       "overlaps 127.0.0.0/8, a loopback network"},
      {"subnet multicast", with_subnet(R"(["203.0.113.8/29", @"224.0.0.0/3"])"),
       "overlaps 224.0.0.0/4, a multicast network"},
      {"subnet everything", with_subnet(R"(@"0.0.0.0/0")"), "overlaps 127.0.0.0/8"},
      {"name empty", in_tun(R"("name": @"")"), "1 to 15 characters"},
      {"name long", in_tun(R"("name": @"tun4567890123456")"), "1 to 15 characters"},
      {"name with slash", in_tun(R"("name": @"a/b")"), "interface name"},
      {"name with blank", in_tun(R"("name": @"a b")"), "interface name"},
      {"name with tab", in_tun(R"("name": @"a\tb")"), "\"a\\u0009b\" must be an interface name"},
      {"name pattern", in_tun(R"("name": @"tun%d")"), "interface name"},
      {"name dots", in_tun(R"("name": @"..")"), "interface name"},
      {"name no string", in_tun(R"("name": @1)"), "interface name"},
      {"mtu low", in_tun(R"("mtu": @575)"), "575 is out of range (576 to 65535)"},
      {"mtu high", in_tun(R"("mtu": @65536)"), "65536 is out of range"},
      {"mtu text", in_tun(R"("mtu": @"1500")"), "\"1500\" must be a whole number (576 to 65535)"},
      {"mtu fraction", in_tun(R"("mtu": @1500.0)"), "1500.0 must be a whole number"},
      {"mtu huge", in_tun(R"("mtu": @99999999999999999999)"), "99999999999999999999 is out of range"},
      {"mtu null", in_tun(R"("mtu": @null)"), "null must be a whole number"},
      {"workers none", in_tun(R"("workers": @0)"), "0 is out of range (1 to 64)"},
      {"workers many", in_tun(R"("workers": @65)"), "65 is out of range"},
      {"workers word", in_tun(R"("workers": @"all")"), "\"all\" must be \"auto\" or a whole number (1 to 64)"},
      {"offload", in_tun(R"("offload": @"yes")"), "\"yes\" must be true or false"},
      {"scheduling", in_tun(R"("scheduling": @"fifo")"), "\"fifo\" must be \"auto\" or \"realtime\" or \"normal\""},
      {"flows few", in_top(R"("flows": {"max": @1023})"), "1023 is out of range (1024 to 16777216)"},
      {"flows many", in_top(R"("flows": {"max": @16777217})"), "16777217 is out of range"},
      {"flows negative", in_top(R"("flows": {"max": @-1})"), "-1 is out of range"},
      {"state_dir relative", in_top(R"("flows": {"state_dir": @"run/vipgate"})"), "must be an absolute path"},
      {"state_dir empty", in_top(R"("flows": {"state_dir": @""})"), "\"state_dir\": \"\" must be 1 to 94 bytes"},
      {"state_dir zero", in_top(R"("flows": {"state_dir": @"/run\u0000"})"), "without control characters"},
      {"profile", in_top(R"("timeouts": {"profile": @"bsd"})"), "\"bsd\" must be \"rfc\" or \"linux\""},
      {"bare number", in_top(R"("timeouts": {"udp": @300})"), "300 has no unit; write \"300s\""},
      {"no unit", in_top(R"("timeouts": {"udp": @"300"})"), "\"300\" must be a duration"},
      {"no number", in_top(R"("timeouts": {"udp": @"s"})"), "must be a duration"},
      {"unknown unit", in_top(R"("timeouts": {"udp": @"3w"})"), "must be a duration"},
      {"fraction", in_top(R"("timeouts": {"udp": @"1.5s"})"), "must be a duration"},
      {"sign", in_top(R"("timeouts": {"udp": @"-1s"})"), "must be a duration"},
      {"blank", in_top(R"("timeouts": {"udp": @"1 s"})"), "must be a duration"},
      {"no duration", in_top(R"("timeouts": {"udp": @true})"), "true must be a duration"},
      {"zero", in_top(R"("timeouts": {"udp": @"0s"})"), "\"0s\" is out of range"},
      {"over a year", in_top(R"("timeouts": {"udp": @"366d"})"), "at most \"365d\""},
      {"over a year in ms", in_top(R"("timeouts": {"udp": @"31536000001ms"})"), "at most \"365d\""},
      {"over 64 bits", in_top(R"("timeouts": {"udp": @"99999999999999999999d"})"), "at most \"365d\""},
      {"rule_priority", in_top(R"("kernel": {"rule_priority": @0})"), "(1 to 32000)"},
      {"rule_priority high", in_top(R"("kernel": {"rule_priority": @32001})"), "(1 to 32000)"},
      {"table 0", in_top(R"("kernel": {"table": @0})"), "0 is not a routing table"},
      {"table high", in_top(R"("kernel": {"table": @2147483648})"), "2147483648 is not a routing table"},
      {"table default", in_top(R"("kernel": {"table": @253})"), "253 to 255 are the kernel's"},
      {"table main", in_top(R"("kernel": {"table": @254})"), "253 to 255 are the kernel's"},
      {"table local", in_top(R"("kernel": {"table": @255})"), "253 to 255 are the kernel's"},
      {"protocol of the kernel", in_top(R"("kernel": {"protocol": @4})"), "(5 to 255)"},
      {"protocol high", in_top(R"("kernel": {"protocol": @256})"), "(5 to 255)"},
      {"guard", in_top(R"("kernel": {"guard": @1})"), "1 must be true or false"},
      {"$schema", in_top(R"("$schema": @1)"), "\"$schema\": 1 must be a string"},
      {"unknown in tun", in_tun(R"(@"mut": 1500)"), "unknown key \"mut\"; did you mean \"mtu\"?"},
      {"unknown in flows", in_top(R"("flows": {@"maximum": 1})"),
       "unknown key \"maximum\"; known here: \"max\", \"state_dir\""},
      {"unknown in timeouts", in_top(R"("timeouts": {@"etsablished": "1s"})"), "did you mean \"established\"?"},
      {"unknown in kernel", in_top(R"("kernel": {@"gaurd": true})"), "did you mean \"guard\"?"},
      {"unknown at the top", in_top("\n@\"vip\": []"), "did you mean \"vips\"?"},
      {"unknown and long", in_top("@\"" + std::string(500, 'x') + "\": 1"),
       "unknown key \"" + std::string(60, 'x') + "...\""},
      {"duplicate at the top", in_top("#\"flows\": {},\n @\"flows\": {}"), "duplicate key \"flows\""},
      {"duplicate in tun", in_tun(R"(#"mtu": 1500, "name": "t", @"mtu": 1500)"), "duplicate key \"mtu\""},
      {"duplicate by escape", in_tun(R"(#"mtu": 1500, @"\u006dtu": 1500)"), "duplicate key \"mtu\""},
      {"control.socket relative", in_top(R"("control": {"socket": @"control.sock"})"), "must be an absolute path"},
      {"control.socket long", in_top("\"control\": {\"socket\": @\"/" + std::string(107, 'x') + "\"}"),
       "1 to 107 bytes"},
      {"control.group unknown", in_top(R"("control": {"group": @"no-such-group"})"),
       R"("group": no group is called "no-such-group" here; make it)"},
      {"control.group empty", in_top(R"("control": {"group": @""})"), "\"group\""},
      {"control.group number", in_top(R"("control": {"group": @4294967295})"), "0 to 4294967294"},
      {"control.group list", in_top(R"("control": {"group": @["root"]})"), "the name or the number of a group"},
      {"control.http without a port", in_top(R"("control": {"http": @"127.0.0.1"})"), "and a port, such as"},
      {"control.http port 0", in_top(R"("control": {"http": @"127.0.0.1:0"})"), "and a port, such as"},
      {"control.http by name", in_top(R"("control": {"http": @"localhost:9860"})"), "an address of this host"},
      {"control.http number", in_top(R"("control": {"http": @9860})"), "an address of this host"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
}

TEST(Sections, Defaults) {
  const Config config = accept(in_top(R"("$schema": "x")"));
  EXPECT_EQ(config.tun.name, "tun0");
  EXPECT_EQ(config.tun.mtu, 1500U);
  EXPECT_EQ(config.tun.workers, 0U);
  EXPECT_TRUE(config.tun.offload);
  EXPECT_EQ(config.flows.max, 0U);
  EXPECT_EQ(config.flows.state_dir, "/run/vipgate");
  EXPECT_EQ(config.control.socket, "/run/vipgate/control.sock");
  EXPECT_EQ(config.kernel.rule_priority, 100U);
  EXPECT_EQ(config.kernel.table, 187U);
  EXPECT_EQ(config.kernel.protocol, 86);
  EXPECT_TRUE(config.kernel.guard);
  EXPECT_EQ(config.rules.timeouts, Timeouts{});
}

TEST(Sections, Limits) {
  Config config = accept(in_tun(R"("name": "tun456789012345", "mtu": 576, "workers": 64, "offload": false)"));
  EXPECT_EQ(config.tun.name, "tun456789012345");
  EXPECT_EQ(config.tun.mtu, 576U);
  EXPECT_EQ(config.tun.workers, 64U);
  EXPECT_FALSE(config.tun.offload);
  EXPECT_EQ(accept(in_tun(R"("workers": "auto", "mtu": 65535)")).tun.mtu, 65535U);
  EXPECT_EQ(accept(in_tun(R"("scheduling": "realtime")")).tun.scheduling, Scheduling::realtime);
  EXPECT_EQ(accept(in_tun(R"("scheduling": "auto")")).tun.scheduling, Scheduling::automatic);
  config = accept(in_top(R"("kernel": {"rule_priority": 32000, "table": 2147483647, "protocol": 5, "guard": false})"));
  EXPECT_EQ(config.kernel.rule_priority, 32000U);
  EXPECT_EQ(config.kernel.table, 2147483647U);
  EXPECT_EQ(config.kernel.protocol, 5);
  EXPECT_FALSE(config.kernel.guard);
  config = accept(in_top(R"("kernel": {"table": 252, "protocol": 255})"));
  EXPECT_EQ(config.kernel.table, 252U);
  EXPECT_EQ(config.kernel.protocol, 255);
}

TEST(Sections, FlowsFillWholeShards) {
  const auto max_of = [](const std::string& value) {
    return accept(in_top("\"flows\": {\"max\": " + value + "}")).flows.max;
  };
  EXPECT_EQ(max_of("1024"), 1024U);
  EXPECT_EQ(max_of("1025"), 1088U);
  EXPECT_EQ(max_of("16777153"), 16777216U);
  EXPECT_EQ(max_of("\"auto\""), 0U);
}

TEST(Sections, Timeouts) {
  const auto timeouts_of = [](const std::string& members) {
    return accept(in_top("\"timeouts\": {" + members + "}")).rules.timeouts;
  };
  EXPECT_EQ(timeouts_of(R"("profile": "rfc")"), Timeouts{});
  EXPECT_EQ(timeouts_of(R"("profile": "linux")"), Timeouts::linux_profile());
  ASSERT_NE(Timeouts::linux_profile(), Timeouts{});

  Timeouts expected = Timeouts::linux_profile();
  expected.udp = 45s;
  EXPECT_EQ(timeouts_of(R"("udp": "45s", "profile": "linux")"), expected) << "single values win, wherever they stand";

  expected = {.syn_sent = 1ms,
              .syn_recv = 2s,
              .established = 365 * 24h,
              .fin_wait = 4min,
              .close_wait = 5h,
              .last_ack = 6 * 24h,
              .time_wait = 7s,
              .close = 8s,
              .picked_up = 9s,
              .udp_one_way = 10s,
              .udp = 11s,
              .icmp_query = 12s};
  EXPECT_EQ(
      timeouts_of(R"("syn_sent": "1ms", "syn_recv": "2s", "established": "365d", "fin_wait": "4m", "close_wait": "5h",
                           "last_ack": "6d", "time_wait": "7s", "close": "8s", "picked_up": "9s", "udp_one_way": "10s",
                           "udp": "11s", "icmp_query": "12s")"),
      expected);
}

TEST(Sections, Subnets) {
  const Config one = accept(with_subnet(R"("203.0.113.10/31")"));
  EXPECT_THAT(one.rules.subnets, testing::ElementsAre(Ipv4Prefix(Ipv4Address(0xCB00710A), 31)));
  const Config two = accept(with_subnet(R"(["203.0.113.10/32", "198.51.100.0/24"])"));
  EXPECT_THAT(two.rules.subnets,
              testing::ElementsAre(Ipv4Prefix(Ipv4Address(0xCB00710A), 32), Ipv4Prefix(Ipv4Address(0xC6336400), 24)));
}

TEST(Sections, TheControlSocketLiesInTheStateFolder) {
  EXPECT_EQ(accept(in_top(R"("flows": {"state_dir": "/srv/x"})")).control.socket, "/srv/x/control.sock");
  EXPECT_EQ(accept(in_top(R"("control": {"socket": "/srv/y"})")).control.socket, "/srv/y");
  EXPECT_EQ(accept(in_top(R"("control": {"socket": "/srv/y"})")).control.group, std::nullopt);
  EXPECT_EQ(accept(in_top(R"("control": {"group": "root"})")).control.group, 0U);
  EXPECT_EQ(accept(in_top(R"("control": {"group": 48123})")).control.group, 48123U) << "a number need have no name";
}

TEST(Sections, NothingIsReachedOverTcpUnlessTold) {
  EXPECT_EQ(accept(in_top(R"("control": {})")).control.http, std::nullopt);
  EXPECT_EQ(accept(in_top(R"("control": {"http": "127.0.0.1:9860"})")).control.http,
            (Endpoint{Ipv4Address(0x7f000001), 9860}));
}

}  // namespace
}  // namespace vipgate
