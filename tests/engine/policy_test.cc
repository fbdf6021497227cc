#include <gtest/gtest.h>

#include <functional>

#include "engine/world.h"

namespace vipgate::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kVip = "203.0.113.10:80";

Rules with(const std::function<void(Service&)>& change) {
  Rules rules = rules_with({{.name = "web"}});
  change(rules.vips[0].services[0]);
  return rules;
}

std::string client(int number, const std::string& host = "198.51.100.7") {
  return host + ":" + std::to_string(10000 + number);
}

TEST(Policy, OnlyAllowedClientsComeInAndDenyWins) {
  World world(with([](Service& service) {
    service.allow = {*Ipv4Prefix::parse("198.51.100.0/24"), *Ipv4Prefix::parse("192.0.2.1")};
    service.deny = {*Ipv4Prefix::parse("198.51.100.64/26")};
  }));
  const auto reason = [&](const char* source) { return world.send(tcp(source, kVip).syn()).verdict.reason; };
  EXPECT_EQ(reason("198.51.100.7:1000"), Reason::none);
  EXPECT_EQ(reason("192.0.2.1:1000"), Reason::none);
  EXPECT_EQ(reason("198.51.100.65:1000"), Reason::denied);
  EXPECT_EQ(reason("192.0.2.2:1000"), Reason::denied);
  EXPECT_EQ(world.flows(), 2U);
}

TEST(Policy, ADeniedClientIsToldWhatUnmatchedSays) {
  Rules rules = with([](Service& service) { service.deny = {Ipv4Prefix()}; });
  World rejecting(rules);
  EXPECT_EQ(rejecting.send(tcp(client(1), kVip).syn().seq(6)).text(),
            "tcp 203.0.113.10:80 > 198.51.100.7:10001 RA seq 0 ack 7 win 0 length 0");
  rules.vips[0].unmatched = Unmatched::drop;
  World dropping(rules);
  EXPECT_EQ(dropping.send(tcp(client(1), kVip).syn()).text(), "");
}

TEST(Policy, FlowsOfAServiceAreLimited) {
  World world(with([](Service& service) { service.limits.flows = 3; }));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Connection(world, client(i)).open()) << i;
  const Outcome fourth = world.send(tcp(client(3), kVip).syn());
  EXPECT_EQ(fourth.verdict.reason, Reason::service_flows);
  EXPECT_NE(fourth.text().find("type 3 code 13"), std::string::npos);
}

TEST(Policy, AClosedConnectionMakesRoomForAnother) {
  World world(with([](Service& service) { service.limits.flows_per_client = 1; }));
  Connection first(world, client(0));
  ASSERT_TRUE(first.open());
  EXPECT_EQ(world.send(tcp(client(1), kVip).syn()).verdict.reason, Reason::client_flows);
  ASSERT_TRUE(first.close_by_client());
  Connection second(world, client(1));
  EXPECT_TRUE(second.open());
  world.pass_time(seconds(7500));
  EXPECT_EQ(world.flows(), 0U);
  EXPECT_TRUE(Connection(world, client(2)).open()) << "silence ends a flow too";
}

TEST(Policy, Rfc6888_OneClientCannotTakeAll) {
  World world(with([](Service& service) { service.limits.flows_per_client = 10; }), 64 * 1024, 4);
  int opened = 0;
  for (int i = 0; i < 100; ++i) opened += Connection(world, client(i)).open() ? 1 : 0;
  EXPECT_EQ(opened, 10) << "whichever shards they fall into";
  EXPECT_TRUE(Connection(world, client(0, "198.51.100.8")).open());
}

TEST(Policy, HandshakesThatOvertakeEachOtherKeepTheLimit) {
  World world(with([](Service& service) { service.limits.flows_per_client = 2; }));
  std::vector<Connection> connections;
  for (int i = 0; i < 5; ++i) connections.emplace_back(world, client(i));
  for (Connection& connection : connections) ASSERT_EQ(connection.syn().verdict.action, Action::forward);
  int live = 0;
  for (Connection& connection : connections) {
    world.send(connection.from_backend().syn().ack(1001));
    const Outcome ack = world.send(connection.from_client().ack(500001));
    live += ack.verdict.action == Action::forward ? 1 : 0;
    if (ack.verdict.action != Action::forward) {
      EXPECT_EQ(ack.verdict.reason, Reason::client_flows);
      EXPECT_EQ(ack.out.size(), 2U) << "both ends are reset";
    }
  }
  EXPECT_EQ(live, 2);
}

TEST(Policy, ForgedRequestsUseUpNobodysShare) {
  World world(with([](Service& service) { service.limits = {.flows = 100, .flows_per_client = 5}; }));
  for (int i = 0; i < 1000; ++i) world.send(tcp(client(i), kVip).syn());
  EXPECT_TRUE(Connection(world, client(5000)).open());
}

TEST(Policy, NewFlowsAreLimitedByTheSecond) {
  World world(with([](Service& service) { service.limits.new_per_second = 10; }));
  int opened = 0;
  for (int i = 0; i < 100; ++i) {
    opened += world.send(tcp(client(i), kVip).syn()).verdict.action == Action::forward ? 1 : 0;
  }
  EXPECT_EQ(opened, 10);
  EXPECT_EQ(world.send(tcp(client(200), kVip).syn()).verdict.reason, Reason::service_rate);
  world.pass_time(milliseconds(200));
  for (int i = 300; i < 400; ++i) {
    opened += world.send(tcp(client(i), kVip).syn()).verdict.action == Action::forward ? 1 : 0;
  }
  EXPECT_EQ(opened, 12);
}

TEST(Policy, UdpCountsFromTheFirstAnswer) {
  Rules rules = rules_with({{.name = "dns", .protocols = {Protocol::udp}, .port = 53}});
  rules.vips[0].services[0].limits.flows = 2;
  World world(rules);
  std::vector<Outcome> queries;
  for (int i = 0; i < 3; ++i) queries.push_back(world.send(udp(client(i), "203.0.113.10:53")));
  const auto answer = [&](int i) {
    const WirePacket& query = queries.at(static_cast<std::size_t>(i)).out.at(0);
    return world.send(udp(destination_of(query).to_string(), source_of(query).to_string())).verdict;
  };
  EXPECT_EQ(answer(0).action, Action::forward);
  EXPECT_EQ(answer(1).action, Action::forward);
  EXPECT_EQ(answer(2).reason, Reason::service_flows);
  EXPECT_EQ(world.send(udp(client(9), "203.0.113.10:53")).verdict.reason, Reason::service_flows);
}

TEST(Policy, AReloadCountsTheFlowsThatGoOn) {
  const Rules rules = with([](Service& service) { service.limits.flows = 2; });
  World world(rules);
  Connection first(world, client(0));
  Connection second(world, client(1));
  ASSERT_TRUE(first.open() && second.open());
  world.reload(rules);
  world.pass_time(seconds(1));
  EXPECT_EQ(world.send(tcp(client(2), kVip).syn()).verdict.reason, Reason::service_flows);
  ASSERT_TRUE(first.exchange() && first.close_by_backend());
  EXPECT_TRUE(Connection(world, client(3)).open());
}

TEST(Policy, AReloadThatDeniesAClientEndsItsFlows) {
  Rules rules = with([](Service&) {});
  World world(rules);
  Connection connection(world, client(0));
  ASSERT_TRUE(connection.open());
  rules.vips[0].services[0].deny = {*Ipv4Prefix::parse("198.51.100.7")};
  world.reload(rules);
  EXPECT_EQ(world.send(connection.from_client().ack(500001).payload("x")).verdict.reason, Reason::revoked);
  EXPECT_EQ(world.flows(), 0U);
}

TEST(Policy, SynsLoseTheSegmentSizeThatIsTooLarge) {
  World world(with([](Service& service) { service.mss = 1300; }));
  const Outcome syn = world.send(tcp(client(0), kVip).syn().seq(5).mss(1460));
  const auto mss = [](const Outcome& outcome) {
    const auto bytes = outcome.out.at(0).bytes();
    return bytes[42] << 8 | bytes[43];
  };
  EXPECT_EQ(mss(syn), 1300);
  const Outcome answer =
      world.send(tcp("10.0.0.2:8080", source_of(syn.out.at(0)).to_string()).syn().seq(1).ack(6).mss(8960));
  EXPECT_EQ(mss(answer), 1300);
  EXPECT_EQ(mss(world.send(tcp(client(1), kVip).syn().mss(1200))), 1200);
}

}  // namespace
}  // namespace vipgate::test
