#include "config/config.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "fault_cases.h"

namespace vipgate {
namespace {

using namespace std::chrono_literals;

// Every key that is built, and every value that means the default of one that is not.
constexpr std::string_view kEverything = R"(// A gateway with all there is.
{
  "$schema": "https://example.org/vipgate.json",
  "tun": { "name": "vip0", "subnet": ["203.0.113.8/29", "198.51.100.7/32"], "mtu": 9000, "workers": 4, "offload": false,
           "scheduling": "normal" },
  "masquerade": ["203.0.113.14", { "address": "10.0.0.250", "shared": false }], /* two */
  "defaults": { "protocol": "tcp", "source": "preserve", "balance": "maglev", "affinity": "none", "helper": "none", "idle_timeout": "2h" },
  "vips": [
    {
      "address": "203.0.113.10", "ping": false, "unmatched": "drop", "shared": false,
      "services": [
        { "name": "web", "port": [80, 443, "8000-8099"], "source": "masquerade", "masquerade": "10.0.0.250", "idle_timeout": "7440s",
          "allow": ["198.51.100.0/24", "10.0.0.0/8"], "deny": ["10.9.0.0/16"], "mss": 1360,
          "limits": { "flows": 1000, "flows_per_client": 50, "new_per_second": 4294967295 },
          "backends": [
            { "name": "a", "address": "10.0.0.2", "port": 8080, "weight": 3, "backup": false },
            { "address": "10.0.0.3" }
          ] },
        { "name": "files", "port": [21, 2121], "helper": "ftp", "backends": [{ "address": "10.0.0.6", "port": 2100 }] },
        { "protocol": ["tcp", "udp"], "port": "*", "backends": [{ "address": "10.0.0.4", "weight": 0 }] }
      ]
    },
    { "address": "198.51.100.7", "services": [{ "protocol": "udp", "port": 53, "backends": [{ "address": "10.0.0.5", "port": 5353 }] }] }
  ],
  "egress": [
    { "from": "10.1.0.16/28", "as": "198.51.100.7", "except": [] },
    { "from": "10.1.0.0/24", "as": "203.0.113.10" }
  ],
  "flows": { "max": 100000, "state_dir": "/var/run/x" },
  "control": { "socket": "/run/other.sock" },
  "timeouts": { "profile": "linux", "udp": "45s", "close": "100ms" },
  "kernel": { "rule_priority": 200, "table": 300, "protocol": 99, "guard": false }
}
)";

TEST(Config, Everything) {
  const Config config = accept(std::string(kEverything));
  EXPECT_EQ(config.tun.name, "vip0");
  EXPECT_EQ(config.tun.mtu, 9000U);
  EXPECT_EQ(config.tun.workers, 4U);
  EXPECT_FALSE(config.tun.offload);
  EXPECT_EQ(config.tun.scheduling, Scheduling::normal);
  EXPECT_EQ(config.flows.max, 100032U);
  EXPECT_EQ(config.flows.state_dir, "/var/run/x");
  EXPECT_EQ(config.control.socket, "/run/other.sock");
  EXPECT_EQ(config.kernel.rule_priority, 200U);
  EXPECT_EQ(config.kernel.table, 300U);
  EXPECT_EQ(config.kernel.protocol, 99);
  EXPECT_FALSE(config.kernel.guard);

  const auto address = [](std::string_view text) { return Ipv4Address::parse(text).value(); };
  Rules expected;
  expected.subnets = {Ipv4Prefix(address("203.0.113.8"), 29), Ipv4Prefix(address("198.51.100.7"), 32)};
  expected.masquerade = {address("203.0.113.14"), address("10.0.0.250")};
  expected.timeouts = Timeouts::linux_profile();
  expected.timeouts.udp = 45s;
  expected.timeouts.close = 100ms;
  const Service web{.name = "web",
                    .protocols = {Protocol::tcp},
                    .ports = {{80, 80}, {443, 443}, {8000, 8099}},
                    .wildcard = false,
                    .source = SourceMode::masquerade,
                    .masquerade = address("10.0.0.250"),
                    .idle_timeout = 7440s,
                    .allow = {Ipv4Prefix(address("198.51.100.0"), 24), Ipv4Prefix(address("10.0.0.0"), 8)},
                    .deny = {Ipv4Prefix(address("10.9.0.0"), 16)},
                    .limits = {.flows = 1000, .flows_per_client = 50, .new_per_second = 4294967295},
                    .mss = 1360,
                    .backends = {{"a", address("10.0.0.2"), 8080, 3}, {"10.0.0.3", address("10.0.0.3"), {}, 1}}};
  const Service files{.name = "files",
                      .protocols = {Protocol::tcp},
                      .ports = {{21, 21}, {2121, 2121}},
                      .wildcard = false,
                      .source = SourceMode::preserve,
                      .masquerade = {},
                      .idle_timeout = 2h,
                      .helper = Helper::ftp,
                      .mss = {},
                      .backends = {{"10.0.0.6:2100", address("10.0.0.6"), 2100, 1}}};
  const Service rest{.name = "tcp+udp/203.0.113.10:*",
                     .protocols = {Protocol::tcp, Protocol::udp},
                     .ports = {kAllPorts},
                     .wildcard = true,
                     .source = SourceMode::preserve,
                     .masquerade = {},
                     .idle_timeout = 2h,
                     .mss = {},
                     .backends = {{"10.0.0.4", address("10.0.0.4"), {}, 0}}};
  const Service dns{.name = "udp/198.51.100.7:53",
                    .protocols = {Protocol::udp},
                    .ports = {{53, 53}},
                    .wildcard = false,
                    .source = SourceMode::preserve,
                    .masquerade = {},
                    .idle_timeout = 2h,
                    .mss = {},
                    .backends = {{"10.0.0.5:5353", address("10.0.0.5"), 5353, 1}}};
  expected.vips = {{address("203.0.113.10"), {}, false, Ping::never, Unmatched::drop, {web, files, rest}},
                   {address("198.51.100.7"), {}, false, Ping::always, Unmatched::reject, {dns}}};
  expected.egress = {{.from = Ipv4Prefix(address("10.1.0.16"), 28), .as = address("198.51.100.7"), .except = {}},
                     {.from = Ipv4Prefix(address("10.1.0.0"), 24),
                      .as = address("203.0.113.10"),
                      .except = {Ipv4Prefix(address("10.0.0.0"), 8), Ipv4Prefix(address("172.16.0.0"), 12),
                                 Ipv4Prefix(address("192.168.0.0"), 16)}}};
  EXPECT_TRUE(config.rules == expected);
  EXPECT_EQ(config.rules.egress, expected.egress);
  EXPECT_EQ(config.rules.vips.at(0).services.at(0), web);
  EXPECT_EQ(config.rules.vips.at(0).services.at(1), files);
  EXPECT_EQ(config.rules.vips.at(0).services.at(2), rest);
  EXPECT_EQ(config.rules.vips.at(1).services.at(0), dns);
}

TEST(Config, AllErrorsAtOnceInOrderOfPlace) {
  const std::string text = R"({
  "kernel": { "table": 254 },
  "vips": [{ "address": "203.0.113.99", "services": [
    { "protocol": "tcp", "port": 70000, "backends": [{ "address": "127.0.0.1" }] },
    { "port": 80, "backends": [] } ] }],
  "tun": { "subnet": "203.0.113.8/29", "mtu": 1 },
  "control": { "http": "127.0.0.1" }
})";
  using testing::StartsWith;
  EXPECT_THAT(errors_of(text),
              testing::ElementsAre(
                  StartsWith("f:2:24: \"table\""), StartsWith("f:3:25: \"address\": 203.0.113.99 lies in no subnet"),
                  StartsWith("f:4:34: \"port\": 70000"), StartsWith("f:4:67: \"address\": 127.0.0.1"),
                  StartsWith("f:5:5: \"protocol\" is missing"), StartsWith("f:5:31: \"backends\": the list is empty"),
                  StartsWith("f:6:47: \"mtu\""),
                  StartsWith("f:7:24: \"http\": \"127.0.0.1\" must be an address of this host and a port")));
}

TEST(Config, MoreThanAHundredErrorsAreCounted) {
  const auto with_unknown_keys = [](int count) {
    std::string members;
    for (int i = 0; i < count; ++i) members += ",\n\"unknown" + std::to_string(i) + "\": 0";
    return errors_of(in_top(R"("flows": {})" + members));
  };
  EXPECT_EQ(with_unknown_keys(100).size(), 100U);
  const std::vector<std::string> errors = with_unknown_keys(137);
  ASSERT_EQ(errors.size(), 101U);
  EXPECT_THAT(errors[99], testing::HasSubstr("\"unknown99\""));
  EXPECT_THAT(errors[100], testing::StartsWith("f:103:1: and 37 more errors"));
  EXPECT_THAT(with_unknown_keys(101).back(), testing::EndsWith("and 1 more error"));
}

TEST(Config, ColumnsCountBytesAndLinesMayEndInCarriageReturns) {
  expect_fault({"umlauts", in_top("\"$schema\": \"äöü\", @\"x\": 1"), "unknown key"});
  expect_fault({"CR LF", in_top("\r\n\"flows\":\r\n  {@\"x\": 1}"), "unknown key"});
}

TEST(Config, ValuesInMessagesAreReadable) {
  EXPECT_THAT(errors_of(in_tun(R"("name": "a\u001b[31m\n\"\\")")),
              testing::ElementsAre(testing::HasSubstr(R"("a\u001B[31m\u000A\"\\")")));
  std::string euros = "a";
  for (int i = 0; i < 40; ++i) euros += "€";  // three bytes each: the cut must not split one
  const std::vector<std::string> errors = errors_of(in_tun("\"name\": \"" + euros + "\""));
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_THAT(errors[0], testing::HasSubstr(euros.substr(0, 58) + "...\""));
}

TEST(Config, FormatsLikeACompiler) {
  EXPECT_EQ(format_error("/etc/vipgate/vipgate.json", {.line = 3, .column = 14, .what = "wrong"}),
            "/etc/vipgate/vipgate.json:3:14: wrong");
}

/// Either a configuration or an error; places lie in the text and are in order.
void expect_sane(std::string_view text) {
  const ConfigResult result = parse_config(text);
  ASSERT_NE(result.config.has_value(), !result.errors.empty()) << text;
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  std::pair<std::size_t, std::size_t> last;
  for (const ConfigError& error : result.errors) {
    const std::pair<std::size_t, std::size_t> place(error.line, error.column);
    ASSERT_LE(last, place) << text;
    ASSERT_GE(error.line, 1U);
    ASSERT_LE(error.line, lines) << text;
    ASSERT_GE(error.column, 1U);
    ASSERT_LE(error.column, text.size() + 1);
    ASSERT_FALSE(error.what.empty());
    last = place;
  }
}

TEST(ConfigDamage, EveryTruncation) {
  const std::size_t end = kEverything.rfind('}');
  for (std::size_t size = 0; size <= kEverything.size(); ++size) {
    expect_sane(kEverything.substr(0, size));
    EXPECT_EQ(parse_config(kEverything.substr(0, size)).config.has_value(), size > end) << size;
  }
}

TEST(ConfigDamage, EveryByteReplaced) {
  const std::string_view bytes("\0\t\n\r \"*+,-./0159:AZ[\\]aemntuz{}\x7F\x80\xC3\xEF\xFF", 36);
  for (std::size_t at = 0; at < kEverything.size(); ++at) {
    std::string text(kEverything);
    for (const char byte : bytes) {
      text[at] = byte;
      expect_sane(text);
    }
  }
}

TEST(ConfigDamage, EveryByteOfASmallFileReplacedInsertedAndRemoved) {
  const std::string small =
      R"({"tun":{"subnet":"203.0.113.8/29"},"vips":[{"address":"203.0.113.10","services":[{"protocol":"tcp","port":80,"backends":[{"address":"10.0.0.2"}]}]}]})";
  accept(small);
  for (std::size_t at = 0; at < small.size(); ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string text = small;
      text[at] = static_cast<char>(byte);
      expect_sane(text);
      text = small;
      text.insert(at, 1, static_cast<char>(byte));
      expect_sane(text);
    }
    std::string text = small;
    text.erase(at, 1);
    expect_sane(text);
  }
}

/// 64 VIPs with 10,000 services in all. Conflict checks that compared each with each would take minutes.
TEST(ConfigSize, ManyServicesAreFast) {
  std::string vips;
  for (int vip = 1; vip <= 64; ++vip) {
    std::string services;
    for (int port = 1; port <= 157; ++port) {
      services += (port == 1 ? "" : ",") + (R"({"name": "s)" + std::to_string(vip)) + "-" + std::to_string(port) +
                  R"(", "protocol": "tcp", "port": )" + std::to_string(port) +
                  R"(, "backends": [{"address": "10.0.0.2", "port": 8080}]})";
    }
    vips += (vip == 1 ? "" : ",\n") + (R"({"address": "203.0.113.)" + std::to_string(vip)) + "\", \"services\": [" +
            services + "]}";
  }
  const std::string text = R"({"tun": {"subnet": "203.0.113.0/24"}, "vips": [)" + vips + "]}";
  const ProcessorTime taken;
  const Config config = accept(text);
  EXPECT_LT(taken.seconds(), ProcessorTime::kTooMuch);
  EXPECT_EQ(config.rules.vips.size(), 64U);
  EXPECT_EQ(config.rules.vips.back().services.size(), 157U);
}

/// One service for all ports, overlapped by every other: an error for each, in one pass.
TEST(ConfigSize, ManyConflictsAreFast) {
  std::string services = R"({"protocol": "tcp", "port": "1-65535", "backends": [{"address": "10.0.0.2"}]})";
  for (int port = 1; port <= 10000; ++port) {
    services += ",\n" + (R"({"protocol": "tcp", "port": )" + std::to_string(port)) +
                R"(, "backends": [{"address": "10.0.0.2"}]})";
  }
  const ProcessorTime taken;
  const std::vector<std::string> errors = errors_of(with_services(services));
  EXPECT_LT(taken.seconds(), ProcessorTime::kTooMuch);
  ASSERT_EQ(errors.size(), 101U);
  EXPECT_THAT(errors[100], testing::HasSubstr("and 9900 more errors"));
}

}  // namespace
}  // namespace vipgate
