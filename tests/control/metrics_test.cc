#include "control/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>
#include <string>
#include <utility>

#include "control/fake_gateway.h"

namespace vipgate::control {
namespace {

using testing::HasSubstr;

std::string metrics() {
  test::FakeGateway gateway;
  gateway.status_.uptime = std::chrono::seconds(12);
  gateway.status_.reloads_refused = 2;
  std::string text;
  gateway.status([&](const GatewayStatus& status) { text = metrics_text(status); });
  return text;
}

TEST(Metrics, TellWhatTheStatusTells) {
  const std::string text = metrics();
  for (const char* line :
       {"vipgate_flows 4", "vipgate_flows_max 1024", "vipgate_ruleset_generation 3", "vipgate_standby 0",
        "vipgate_worker_stuck{worker=\"0\"} 0", "vipgate_worker_stuck{worker=\"1\"} 1",
        "vipgate_read_packets_total{worker=\"1\"} 21", "vipgate_refused_packets_total{reason=\"no_service\"} 10",
        "vipgate_refused_packets_total{reason=\"tcp_window\"} 0", "vipgate_verdicts_total{verdict=\"forward\"} 0",
        "vipgate_reloads_total{result=\"accepted\"} 0", "vipgate_reloads_total{result=\"refused\"} 2",
        "vipgate_vip_served{vip=\"203.0.113.10\"} 1"}) {
    EXPECT_THAT(text, HasSubstr(std::string("\n") + line + "\n"));
  }
}

TEST(Metrics, TellOfEachBackend) {
  const std::string text = metrics();
  const std::string of = "{vip=\"203.0.113.10\",service=\"web\",backend=\"a\xEF\xBF\xBD\",address=\"10.0.0.2\"} ";
  const std::pair<std::string, std::string> samples[] = {{"up", "1"},
                                                         {"drained", "0"},
                                                         {"weight", "1"},
                                                         {"flows", "0"},
                                                         {"checks_total", "9"},
                                                         {"check_failures_total", "3"},
                                                         {"check_latency_seconds", "0.002"}};
  for (const auto& [name, value] : samples) {
    EXPECT_THAT(text, HasSubstr("\nvipgate_backend_" + name + of + value + "\n"));
  }
}

/// Each metric has its help and type once, before all its samples, and no sample comes twice.
TEST(Metrics, AreWellFormed) {
  std::istringstream lines(metrics());
  std::set<std::string> described;
  std::set<std::string> samples;
  std::string current;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) {
      current = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(described.insert(current).second) << current;
      EXPECT_TRUE(line.ends_with(".")) << line;
    } else if (line.starts_with("# TYPE ")) {
      EXPECT_TRUE(line.starts_with("# TYPE " + current + " ")) << line;
      const bool counter = line.ends_with(" counter");
      EXPECT_EQ(counter, current.ends_with("_total")) << line;
    } else {
      EXPECT_EQ(line.substr(0, line.find_first_of("{ ")), current);
      EXPECT_TRUE(samples.insert(line.substr(0, line.rfind(' '))).second) << line;
    }
  }
  EXPECT_GT(samples.size(), 60U);
}

}  // namespace
}  // namespace vipgate::control
