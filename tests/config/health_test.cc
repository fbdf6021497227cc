// The key "health".

#include <chrono>

#include "fault_cases.h"

namespace vipgate {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

std::string health(const std::string& value) {
  return in_service("\"health\": " + value);
}

/// A service for these protocols and port, with further keys, and its backends without a port of their own.
std::string service(const std::string& protocol, const std::string& port, const std::string& members = "",
                    const std::string& defaults = "") {
  return with_services(R"({"protocol": )" + protocol + R"(, "port": )" + port +
                           R"(, "backends": [{"address": "10.0.0.2"}])" + (members.empty() ? "" : ", ") + members + "}",
                       defaults.empty() ? "" : R"("defaults": {"health": )" + defaults + "},");
}

HealthCheck check_of(const std::string& text) {
  const Config config = accept(text);
  EXPECT_EQ(config.health.size(), config.rules.vips.size());
  return config.health.empty() || config.health[0].empty() ? HealthCheck{} : config.health[0][0];
}

TEST(Health, Faults) {
  const std::vector<FaultCase> cases{
      {"number", health("@5"), R"("health": 5 must be a type ("tcp", "http", "ping" or "none") or an object { })"},
      {"list", health("@[]"), "a list must be a type"},
      {"word", health("@\"smtp\""), R"("smtp" must be "tcp" or "http" or "ping" or "exec" or "none")"},
      {"exec alone", health("@\"exec\""), R"(write { "type": "exec", "command": ["/path"] })"},
      {"type", health(R"({"type": @"icmp"})"), "\"type\": \"icmp\" must be \"tcp\" or"},
      {"type number", health(R"({"type": @1})"), "1 must be \"tcp\" or"},
      {"unknown", health(R"({@"intervall": "2s"})"), "did you mean \"interval\"?"},
      {"duplicate", health("{#\"rise\": 1,\n@\"rise\": 1}"), "duplicate key \"rise\""},
      {"interval short", health(R"({"interval": @"99ms"})"), "\"99ms\" must be from \"100ms\" to \"1h\""},
      {"interval long", health(R"({"interval": @"61m"})"), "must be from"},
      {"interval number", health(R"({"interval": @2})"), "2 has no unit"},
      {"timeout zero", health(R"({"timeout": @"0s"})"), "out of range"},
      {"timeout over default", health(R"({"timeout": @"3s"})"),
       "\"3s\" is longer than the \"interval\" (2s, which is the default); lengthen the interval"},
      {"timeout over interval", health(R"({"timeout": @"1001ms", "interval": "1s"})"),
       "longer than the \"interval\" (\"1s\")"},
      {"rise", health(R"({"rise": @0})"), "0 is out of range (1 to 100)"},
      {"fall", health(R"({"fall": @101})"), "101 is out of range (1 to 100)"},
      {"port", health(R"({"port": @0})"), "0 is not a port"},
      {"port range", health(R"({"port": @"80-90"})"), "must be a whole number"},
      {"path relative", health(R"({"type": "http", "path": @"health"})"), "must be a path without \"#\""},
      {"path blank", health(R"({"type": "http", "path": @"/a b"})"), "ASCII without blanks"},
      {"path newline", health(R"({"type": "http", "path": @"/a\r\nHost: x"})"), "without control characters"},
      {"path not ASCII", health(R"({"type": "http", "path": @"/ä"})"), "write other bytes as %20"},
      {"path fragment", health(R"({"type": "http", "path": @"/a\u0023b"})"), "must be a path without \"#\""},
      {"host", health(R"({"type": "http", "host": @"a b"})"), "ASCII without blanks"},
      {"status word", health(R"({"type": "http", "status": @"ok"})"), "must be a status (200) or a range"},
      {"status low", health(R"({"type": "http", "status": @199})"), "from 200 to 599"},
      {"status high", health(R"({"type": "http", "status": @"200-600"})"), "from 200 to 599"},
      {"status backwards", health(R"({"type": "http", "status": @"399-200"})"), "a range of them"},
      {"status half", health(R"({"type": "http", "status": @"200-"})"), "a range of them"},
      {"status list", health(R"({"type": "http", "status": @[200]})"), "a list must be a status"},
      {"command text", health(R"({"type": "exec", "command": @"/bin/true"})"), "must be a list of a program's"},
      {"command empty", health(R"({"type": "exec", "command": @[]})"), "must be a list of a program's"},
      {"command relative", health(R"({"type": "exec", "command": [@"true"]})"), "must be an absolute path"},
      {"command number", health(R"({"type": "exec", "command": ["/bin/sleep", @1]})"), "1 must be a string"},
      {"no command", health(R"(@{"type": "exec"})"), "\"command\" is missing: \"health\" needs"},
      {"path for tcp", health(R"({"type": "tcp", "path": @"/"})"),
       R"("path": does nothing for "type": "tcp"; leave it out, or write "type": "http")"},
      {"command for http", health(R"({"type": "http", "command": @["/bin/true"]})"), R"(or write "type": "exec")"},
      {"port for ping", health(R"({"type": "ping", "port": @80})"),
       R"("port": does nothing for "type": "ping"; leave)"},
      {"timeout for none", health(R"({"type": "none", "timeout": @"1s"})"), R"(does nothing for "type": "none")"},
      {"path without type", health(R"({"path": @"/"})"), R"("path": goes with "type": "http" alone; write that)"},
      {"interval for none", health(R"(@{"type": "none", "interval": "1s"})"), "nothing is checked with \"none\""},
      {"tcp for udp", service("\"udp\"", "53", R"("health": @"tcp")"), "needs a \"port\" where the service has no TCP"},
      {"http for udp", service("\"udp\"", "53", R"("health": @"http")"), "needs a \"port\""},
      {"rise for udp", service("\"udp\"", "53", R"("health": @{"rise": 1})"), "has no check unless \"type\" names one"},
      {"tcp for all ports", service("\"tcp\"", "\"*\"", R"("health": @"tcp")"), "name one in \"port\""},
      {"times for all ports", service("\"tcp\"", "\"*\"", R"("health": @{"rise": 1})"), "name one in \"port\""},
      {"default", service("\"tcp\"", "80", "", R"({"rise": @0})"), "0 is out of range"},
      {"default's path", service("\"tcp\"", "80", "", R"({"type": "ping", "path": @"/"})"), "does nothing"},
  };
  for (const FaultCase& fault : cases) expect_fault(fault);
}

TEST(Health, DefaultsGoByTheProtocol) {
  HealthCheck expected;
  expected.type = HealthType::tcp;
  EXPECT_EQ(check_of(service("\"tcp\"", "80")), expected);
  EXPECT_EQ(check_of(service(R"(["tcp", "udp"])", "53")), expected);
  EXPECT_EQ(expected.interval, 2s);
  EXPECT_EQ(expected.timeout, 1s);
  EXPECT_EQ(expected.rise, 2U);
  EXPECT_EQ(expected.fall, 3U);

  EXPECT_EQ(check_of(service("\"tcp\"", "\"*\"")), HealthCheck{}) << "there is no port to check";
  expected = {};
  expected.passive = true;
  EXPECT_EQ(check_of(service("\"udp\"", "53")), expected);
  EXPECT_EQ(check_of(service("\"udp\"", "\"*\"")), expected);
}

TEST(Health, Settings) {
  HealthCheck expected;
  expected.type = HealthType::http;
  EXPECT_EQ(check_of(health("\"http\"")), expected);
  expected.interval = 10s;
  expected.timeout = 2500ms;
  expected.rise = 1;
  expected.fall = 100;
  expected.port = 9000;
  expected.path = "/health?deep=1";
  expected.host = "www.example.org:80";
  expected.status = {204, 204};
  EXPECT_EQ(check_of(health(
                R"({"type": "http", "interval": "10s", "timeout": "2500ms", "rise": 1, "fall": 100, "port": 9000,
                    "path": "/health?deep=1", "host": "www.example.org:80", "status": 204})")),
            expected);
  EXPECT_EQ(check_of(health(R"({"type": "http", "status": "200"})")).status, (HttpStatusRange{200, 200}));
  EXPECT_EQ(check_of(health(R"({"type": "http", "status": "200-599"})")).status, (HttpStatusRange{200, 599}));
  EXPECT_EQ(check_of(health(R"({"interval": "100ms"})")).timeout, 100ms) << "at most the interval";
  EXPECT_EQ(check_of(health(R"({"interval": "1h"})")).timeout, 1s);

  const HealthCheck exec = check_of(health(R"({"type": "exec", "command": ["/usr/bin/check", "-v"]})"));
  EXPECT_EQ(exec.type, HealthType::exec);
  EXPECT_THAT(exec.command, ElementsAre("/usr/bin/check", "-v"));
  EXPECT_EQ(check_of(health("\"ping\"")).type, HealthType::ping);
  EXPECT_EQ(check_of(health("\"none\"")), HealthCheck{});
  EXPECT_EQ(check_of(health("{}")).type, HealthType::tcp);
}

TEST(Health, WhatServicesWithoutTcpCanHave) {
  EXPECT_EQ(check_of(service("\"udp\"", "53", R"("health": {"type": "tcp", "port": 53})")).type, HealthType::tcp);
  EXPECT_FALSE(check_of(service("\"udp\"", "53", R"("health": "ping")")).passive);
  const HealthCheck signs = check_of(service("\"udp\"", "53", R"("health": {"interval": "5s", "fall": 1})"));
  EXPECT_EQ(signs.type, HealthType::none);
  EXPECT_TRUE(signs.passive);
  EXPECT_EQ(signs.interval, 5s);
  EXPECT_EQ(signs.fall, 1U);
}

TEST(Health, ADefaultThatDoesNotFitIsPassedOver) {
  EXPECT_EQ(check_of(service("\"tcp\"", "80", "", "\"http\"")).type, HealthType::http);
  EXPECT_EQ(check_of(service("\"tcp\"", "80", "", R"({"rise": 7})")).rise, 7U);
  EXPECT_EQ(check_of(service("\"tcp\"", "80", R"("health": "tcp")", R"({"rise": 7})")).rise, 2U)
      << "the service's own takes the place of the whole default";
  const HealthCheck udp = check_of(service("\"udp\"", "53", "", R"({"type": "http", "rise": 7})"));
  EXPECT_EQ(udp.type, HealthType::none);
  EXPECT_TRUE(udp.passive);
  EXPECT_TRUE(check_of(service("\"udp\"", "53", "", R"({"rise": 7})")).passive);
  EXPECT_EQ(check_of(service("\"tcp\"", "\"*\"", "", R"({"rise": 7})")).type, HealthType::none);
  EXPECT_EQ(check_of(service("\"tcp\"", "\"*\"", "", R"({"port": 7})")).type, HealthType::tcp);
  EXPECT_FALSE(check_of(service("\"tcp\"", "80", "", R"({"type": "none", "interval": "1s"})")).passive);
}

TEST(Health, OneCheckForEachServiceOfEachVip) {
  const Config config = accept(with_vips(
      R"({"address": "203.0.113.10", "services": [
            {"protocol": "tcp", "port": 80, "health": "http", "backends": [{"address": "10.0.0.2"}]},
            {"protocol": "tcp", "port": 25, "backends": [{"address": "10.0.0.2"}]}]},
         {"address": "203.0.113.11", "services": [
            {"protocol": "tcp", "port": 80, "health": "ping", "backends": [{"address": "10.0.0.2"}]}]})"));
  ASSERT_EQ(config.health.size(), 2U);
  ASSERT_EQ(config.health[0].size(), 2U);
  ASSERT_EQ(config.health[1].size(), 1U);
  EXPECT_EQ(config.health[0][0].type, HealthType::http);
  EXPECT_EQ(config.health[0][1].type, HealthType::tcp);
  EXPECT_EQ(config.health[1][0].type, HealthType::ping);
}

}  // namespace
}  // namespace vipgate
