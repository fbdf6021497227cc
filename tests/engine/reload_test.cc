#include <gtest/gtest.h>

#include "engine/world.h"

namespace vipgate::test {
namespace {

using std::chrono::seconds;

constexpr const char* kClient = "198.51.100.7:40000";

TEST(Reload, FlowsOfUnchangedServicesGoOn) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  world.reload(rules_with({{.name = "mail", .port = 25, .backends = {"10.0.0.3:25"}}, {.name = "web"}}));
  EXPECT_TRUE(connection.exchange());
  EXPECT_TRUE(Connection(world, "198.51.100.7:40001", "203.0.113.10:25").open());
}

TEST(Reload, FlowsOfAServiceThatIsGoneEnd) {
  World world(rules_with({{.name = "web"}, {.name = "mail", .port = 25}}));
  Connection connection(world, kClient, "203.0.113.10:25");
  ASSERT_TRUE(connection.open());
  world.reload(rules_with({{.name = "web"}}));
  EXPECT_FALSE(connection.exchange());
  EXPECT_EQ(world.counters().flows_revoked, 1U);
  EXPECT_EQ(world.flows(), 0U);
}

TEST(Reload, FlowsOfABackendThatIsGoneEndAndTheOthersStay) {
  World world(rules_with({{.name = "web", .backends = {"10.0.0.2:80", "10.0.0.3:80"}}}));
  std::vector<Connection> connections;
  for (int i = 0; i < 20; ++i) {
    connections.emplace_back(world, "198.51.100.7:" + std::to_string(40000 + i));
    ASSERT_TRUE(connections.back().open());
  }
  world.reload(rules_with({{.name = "web", .backends = {"10.0.0.3:80"}}}));
  for (Connection& connection : connections) EXPECT_EQ(connection.exchange(), connection.backend() == "10.0.0.3:80");
}

TEST(Reload, AChangeFromPreserveToMasqueradeEndsPreservedFlows) {
  World world(rules_with({{.name = "web", .source = SourceMode::preserve}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  world.reload(rules_with({{.name = "web"}}));
  EXPECT_FALSE(connection.exchange());
}

TEST(Reload, SilentFlowsAreLookedAtTooAndKeepTheirServicesTimeout) {
  Rules rules = rules_with({{.name = "gone", .port = 25}, {.name = "web"}});
  rules.vips[0].services[1].idle_timeout = std::chrono::hours(24);
  World world(rules);
  Connection web(world, kClient);
  Connection gone(world, kClient, "203.0.113.10:25");
  ASSERT_TRUE(web.open() && gone.open());
  rules.vips[0].services.erase(rules.vips[0].services.begin());
  world.reload(rules);
  world.pass_time(std::chrono::hours(23));
  EXPECT_EQ(world.flows(), 1U) << "the revoked one went without a packet of its own";
  EXPECT_TRUE(web.exchange());
}

}  // namespace
}  // namespace vipgate::test
