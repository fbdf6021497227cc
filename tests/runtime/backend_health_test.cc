// From a configuration to targets, and from their health to backends' states.

#include "runtime/health/backend_health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>

#include "config/fault_cases.h"
#include "health_server.h"

namespace vipgate {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

HealthTarget target_of(const std::string& service) {
  const Config config = accept(with_services(service));
  const Service& first = first_service(config);
  return health_target(first, first.backends.at(0), config.health.at(0).at(0)).value_or(HealthTarget{});
}

std::string with_health(const std::string& port, const std::string& backend, const std::string& health) {
  return R"({"name": "web", "protocol": "tcp", "port": )" + port + R"(, "backends": [{"address": "10.0.0.2")" +
         backend + R"(}], "health": )" + health + "}";
}

TEST(HealthTarget, TheCheckedPort) {
  const auto port = [](const std::string& ports, const std::string& backend, const std::string& health) {
    return target_of(with_health(ports, backend, health)).backend.port;
  };
  EXPECT_EQ(port("80", R"(, "port": 8080)", "\"tcp\""), 8080);
  EXPECT_EQ(port("80", "", "\"tcp\""), 80);
  EXPECT_EQ(port("80", R"(, "port": 8080)", R"({"port": 9000})"), 9000);
  EXPECT_EQ(port("[443, \"80-90\"]", "", "\"http\""), 80) << "the service's first";
  EXPECT_EQ(port("\"80-90\"", R"(, "port": 8080)", "\"http\""), 8080);
  EXPECT_EQ(port("\"*\"", "", R"({"port": 9000})"), 9000);
  EXPECT_EQ(port("80", "", "\"ping\""), 0) << "one for all services of the host";
  EXPECT_EQ(port("\"*\"", "", R"({"type": "exec", "command": ["/bin/true"]})"), 0);
}

TEST(HealthTarget, TheSameCheckIsTheSameTarget) {
  EXPECT_EQ(target_of(with_health("80", R"(, "port": 8080)", "\"tcp\"")),
            target_of(with_health("81", "", R"({"port": 8080})")));
  EXPECT_NE(target_of(with_health("80", "", "\"tcp\"")), target_of(with_health("80", "", R"({"rise": 1})")));
  EXPECT_EQ(target_of(with_health("80", "", "\"tcp\"")).service, "");
  EXPECT_EQ(target_of(with_health("80", "", R"({"type": "exec", "command": ["/bin/true"]})")).service, "web")
      << "programs are told the service";
}

class BackendHealthTest : public testing::Test {
 protected:
  /// A service of these backends, or of one, as JSON.
  static std::string service(const std::string& name, const std::string& backends, const std::string& health,
                             const std::string& protocol = "tcp") {
    static int port = 0;
    return R"({"name": ")" + name + R"(", "protocol": ")" + protocol + R"(", "port": )" +
           std::to_string(1000 + ++port) + R"(, "backends": [)" + backends + R"(], "health": )" + health + "}";
  }
  static std::string backend(const Endpoint& endpoint, const std::string& members = "") {
    return R"({"address": "10.0.0.2", "port": )" + std::to_string(endpoint.port) + members + "}";
  }

  /// 10.0.0.2 cannot be reached here: checks go to the loopback instead, which no configuration may name.
  void use(const std::string& services) {
    config_ = accept(with_services(services));
    for (Vip& vip : config_.rules.vips) {
      for (Service& one : vip.services) {
        for (Backend& each : one.backends) each.address = own_loopback();
      }
    }
    health_.set_config(config_);
  }

  bool until(const std::function<bool()>& condition) { return run_until(context_, condition); }

  /// 'u' or 'd' of each backend of each service, drained ones as capitals.
  std::string states(const std::set<std::string>& drained = {}) const {
    Rules rules = config_.rules;
    std::string states;
    for (Vip& vip : rules.vips) {
      for (Service& one : vip.services) {
        for (Backend& each : one.backends) {
          each.drained = drained.contains(each.name);
        }
      }
    }
    health_.mark(rules);
    for (const Vip& vip : rules.vips) {
      for (const Service& one : vip.services) {
        states += states.empty() ? "" : " ";
        for (const Backend& each : one.backends) {
          states += each.down ? (each.drained ? 'D' : 'd') : (each.drained ? 'U' : 'u');
        }
      }
    }
    return states;
  }

  boost::asio::io_context context_{1};
  Config config_;
  int published_ = 0;
  std::map<std::pair<int, int>, BackendSigns> signs_;
  std::vector<std::string> log_;
  BackendHealth health_{context_,
                        {},
                        {.changed = [this] { ++published_; },
                         .signs =
                             [this](std::uint16_t s, std::uint16_t b) {
                               return signs_[{s, b}];
                             },
                         .write = [this](LogLevel, const std::string& line) { log_.push_back(line); }}};
};

TEST_F(BackendHealthTest, WhoIsDownIsMarked) {
  HealthServer server(context_, {});
  const Endpoint closed = closed_endpoint(context_);
  use(service("a", backend(server.endpoint()) + "," + backend(closed), "\"tcp\"") + "," +
      service("b", backend(closed), "\"none\"") + "," + service("c", backend(closed), "\"tcp\""));
  EXPECT_EQ(states(), "uu u u") << "until the first check";
  ASSERT_TRUE(until([&] { return states() == "ud u d"; })) << states();
  ASSERT_TRUE(until([&] { return published_ > 0; }));
  EXPECT_EQ(published_, 1) << "together";
  EXPECT_EQ(health_.report(0, 1)->state, Health::down);
  EXPECT_FALSE(health_.report(1, 0).has_value()) << "not checked";
}

TEST_F(BackendHealthTest, OneCheckForAllWhoWantTheSame) {
  HealthServer server(context_, {});
  const std::string one = backend(server.endpoint());
  use(service("a", one, "\"tcp\"") + "," + service("b", one, "\"tcp\"") + "," + service("c", one, "\"tcp\"") + "," +
      service("d", one, R"({"rise": 1, "interval": "1h"})"));
  ASSERT_TRUE(until([&] { return health_.report(0, 0)->checks >= 2; }));
  EXPECT_EQ(health_.report(1, 0)->checks, health_.report(0, 0)->checks);
  const std::size_t checks = health_.report(0, 0)->checks + health_.report(3, 0)->checks;
  EXPECT_LE(server.accepted(), checks);
  EXPECT_TRUE(until([&] { return server.accepted() >= checks; }));
  EXPECT_THAT(health_.report(2, 0)->name, HasSubstr("a/10.0.0.2:"));
  EXPECT_THAT(health_.report(2, 0)->name, HasSubstr(" and 2 others"));
}

TEST_F(BackendHealthTest, NamesInTheLog) {
  const Endpoint closed = closed_endpoint(context_);
  use(service("web", backend(closed, R"(, "name": "a")"), "\"tcp\""));
  EXPECT_EQ(health_.report(0, 0)->name, "web/a (" + closed.to_string() + ")");
}

TEST_F(BackendHealthTest, DrainedStaysVisible) {
  use(service("a", backend(closed_endpoint(context_), R"(, "name": "x")"), "\"tcp\""));
  EXPECT_EQ(states({"x"}), "U");
  ASSERT_TRUE(until([&] { return states() == "d"; }));
  EXPECT_EQ(states({"x"}), "D");
  EXPECT_EQ(health_.report(0, 0)->state, Health::down);
}

TEST_F(BackendHealthTest, AReloadKeepsWhatIsKnown) {
  const std::string closed = backend(closed_endpoint(context_));
  use(service("a", closed, "\"tcp\""));
  ASSERT_TRUE(until([&] { return states() == "d"; }));
  const std::uint64_t checks = health_.report(0, 0)->checks;
  use(service("new", closed, "\"none\"") + "," + service("a", closed, "\"tcp\""));
  EXPECT_EQ(states(), "u d");
  EXPECT_EQ(health_.report(1, 0)->checks, checks);
}

// All held: the one that only flaps is better than none.
TEST_F(BackendHealthTest, Fault9_AHeldBackendServesWhereNoOtherDoes) {
  auto server = std::make_unique<HealthServer>(context_, HealthServer::Script{});
  HealthServer steady(context_, {});
  const Endpoint flapping = server->endpoint();
  const std::string eager = R"({"interval": "100ms", "rise": 1, "fall": 1})";
  const std::string first = backend(flapping, R"(, "name": "x")");
  use(service("alone", first, eager) + "," + service("two", first + "," + backend(steady.endpoint()), eager) + "," +
      service("with one of weight 0", first + "," + backend(steady.endpoint(), R"(, "weight": 0)"), eager) + "," +
      service("with one drained", first + "," + backend(steady.endpoint(), R"(, "name": "y")"), eager));
  const auto health = [&] { return health_.report(0, 0)->state; };
  const auto begin_and_end = [&] {
    ASSERT_TRUE(until([&] { return health_.report(0, 0)->last && health() == Health::up; }));
    server.reset();
    ASSERT_TRUE(until([&] { return health() == Health::down; }));
    server = std::make_unique<HealthServer>(context_, HealthServer::Script{}, flapping.port);
  };
  begin_and_end();
  begin_and_end();
  ASSERT_TRUE(until([&] { return health() == Health::held; }));
  EXPECT_EQ(states({"y"}), "u du uu uU");
  server.reset();
  ASSERT_TRUE(until([&] { return health() == Health::down; }));
  EXPECT_EQ(states({"y"}), "d du du dU");
}

TEST_F(BackendHealthTest, Fault8_ChangesArePublishedInPauses) {
  auto server = std::make_unique<HealthServer>(context_, HealthServer::Script{});
  const Endpoint flapping = server->endpoint();
  std::string services;
  for (int i = 0; i < 30; ++i) {
    services += (i == 0 ? "" : ",") + service("s" + std::to_string(i), backend(flapping),
                                              R"({"interval": ")" + std::to_string(100 + i) + R"(ms", "fall": 1})");
  }
  use(services);
  const auto begun = std::chrono::steady_clock::now();
  ASSERT_TRUE(until([&] { return health_.report(29, 0)->checks > 0; }));
  server.reset();
  ASSERT_TRUE(until([&] { return states().find('u') == std::string::npos; }));
  server = std::make_unique<HealthServer>(context_, HealthServer::Script{}, flapping.port);
  ASSERT_TRUE(until([&] { return states().find('d') == std::string::npos; }));
  context_.run_for(2 * BackendHealth::kPublishPause);
  EXPECT_GE(published_, 2);
  EXPECT_LE(published_, (std::chrono::steady_clock::now() - begun) / BackendHealth::kPublishPause + 1);
}

TEST_F(BackendHealthTest, SignsAskForACheckAtOnce) {
  auto server = std::make_unique<HealthServer>(context_, HealthServer::Script{});
  use(service("other", backend(server->endpoint()), "\"none\"") + "," +
      service("a", backend(server->endpoint()), R"({"interval": "1h"})"));
  signs_[{1, 0}] = {.refused = 7, .unanswered = 7};  // from before
  ASSERT_TRUE(until([&] { return health_.report(1, 0)->checks == 1; }));
  context_.run_for(3 * BackendHealth::kSignsInterval);
  context_.restart();
  EXPECT_EQ(health_.report(1, 0)->checks, 1U);
  ++signs_[{0, 0}].refused;
  context_.run_for(2 * BackendHealth::kSignsInterval);
  context_.restart();
  EXPECT_EQ(health_.report(1, 0)->checks, 1U) << "another service's";

  ++signs_[{1, 0}].refused;
  ASSERT_TRUE(until([&] { return health_.report(1, 0)->checks == 2; }));
  ++signs_[{1, 0}].unanswered;
  ASSERT_TRUE(until([&] { return health_.report(1, 0)->checks == 3; }));
  EXPECT_EQ(states(), "u u");

  server.reset();
  ASSERT_TRUE(until([&] {
    ++signs_[{1, 0}].unanswered;
    return states() == "u d";
  })) << "long before its next turn";
}

TEST_F(BackendHealthTest, WithoutTcpIcmpIsTheOnlySign) {
  use(service("dns", backend({{}, 53}), "\"none\"", "udp"));
  context_.run_for(2 * BackendHealth::kSignsInterval);
  context_.restart();
  signs_[{0, 0}].unanswered = 1000;
  signs_[{0, 0}].refused = 2;
  context_.run_for(2 * BackendHealth::kSignsInterval);
  context_.restart();
  EXPECT_EQ(states(), "u");
  signs_[{0, 0}].refused += 3;
  ASSERT_TRUE(until([&] { return states() == "d"; }));
  EXPECT_THAT(log_, ElementsAre(HasSubstr("ICMP says that nobody is there")));
}

}  // namespace
}  // namespace vipgate
