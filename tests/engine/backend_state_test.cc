#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>

#include "engine/world.h"
#include "vipgate/backend_signs.h"

// Backends that go down, come up, are drained or stand in for others.

namespace vipgate::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kVip = "203.0.113.10:80";

/// A service for TCP and UDP with backends 10.0.0.2 to 10.0.0.4.
Rules rules_of_three(const std::function<void(Service&)>& change = [](Service&) {}) {
  Rules rules = rules_with({{.name = "web",
                             .protocols = {Protocol::tcp, Protocol::udp},
                             .backends = {"10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"}}});
  change(rules.vips[0].services[0]);
  return rules;
}

auto down(std::size_t backend) {
  return [backend](Service& service) { service.backends.at(backend).down = true; };
}

auto drained(std::size_t backend) {
  return [backend](Service& service) { service.backends.at(backend).drained = true; };
}

std::string client(int number) {
  return "198.51.100.7:" + std::to_string(10000 + number);
}

std::vector<Connection> connections(World& world, int count) {
  std::vector<Connection> all;
  for (int i = 0; i < count; ++i) {
    all.emplace_back(world, client(i));
    EXPECT_TRUE(all.back().open()) << i;
  }
  return all;
}

/// Where a datagram of the client goes.
std::string asks(World& world, const std::string& source) {
  const Outcome outcome = world.send(udp(source, kVip).payload("?"));
  return outcome.verdict.action == Action::forward ? destination_of(outcome.out[0]).to_string() : "";
}

TEST(BackendState, NewFlowsAvoidABackendThatIsDownAndReturnWithIt) {
  World world(rules_of_three());
  std::map<std::string, int> taken;
  for (int i = 0; i < 300; ++i) ++taken[asks(world, client(i))];
  EXPECT_EQ(taken.size(), 3U);
  world.reload(rules_of_three(down(1)));
  for (int i = 300; i < 600; ++i) EXPECT_NE(asks(world, client(i)), "10.0.0.3:80");
  world.reload(rules_of_three());
  taken.clear();
  for (int i = 600; i < 900; ++i) ++taken[asks(world, client(i))];
  EXPECT_GT(taken["10.0.0.3:80"], 50);
}

TEST(BackendState, DatagramsMoveAtOnceAndOnlyThose) {
  World world(rules_of_three());
  std::map<int, std::string> before;
  for (int i = 0; i < 100; ++i) before[i] = asks(world, client(i));
  world.reload(rules_of_three(down(1)));
  for (const auto& [i, backend] : before) {
    const std::string now = asks(world, client(i));
    EXPECT_NE(now, "");
    EXPECT_NE(now, "10.0.0.3:80");
    if (backend != "10.0.0.3:80") {
      EXPECT_EQ(now, backend);
    }
  }
  EXPECT_EQ(world.flows(), 100U);
}

TEST(BackendState, ConnectionsOfABackendThatIsDownAreKept) {
  World world(rules_of_three());
  auto all = connections(world, 30);
  world.reload(rules_of_three(down(1)));
  world.pass_time(seconds(1));
  for (Connection& connection : all) EXPECT_TRUE(connection.exchange()) << connection.backend();
  EXPECT_EQ(world.counters().flows_revoked, 0U);
}

TEST(BackendState, OrResetOnBothSides) {
  const auto rules = rules_of_three([](Service& service) {
    service.on_backend_down = OnBackendDown::reset;
    service.backends[1].down = true;
  });
  World world(rules_of_three([](Service& service) { service.on_backend_down = OnBackendDown::reset; }), 64 * 1024, 4);
  auto all = connections(world, 30);
  std::size_t lost = 0;
  for (const Connection& connection : all) lost += connection.backend() == "10.0.0.3:80" ? 1 : 0;
  ASSERT_GT(lost, 2U);
  world.reload(rules);
  Connection* first = nullptr;
  for (Connection& connection : all) {
    if (connection.backend() == "10.0.0.3:80" && first == nullptr) first = &connection;
  }
  const Outcome outcome = world.send(first->from_client().ack(500001).payload("x"));
  EXPECT_EQ(outcome.verdict.reason, Reason::revoked);
  EXPECT_EQ(outcome.out.size(), 2U);
  world.pass_time(seconds(1));
  EXPECT_EQ(world.sent_meanwhile().size(), 2 * (lost - 1)) << "the others without a packet of theirs";
  for (Connection& connection : all) EXPECT_EQ(connection.exchange(), connection.backend() != "10.0.0.3:80");
}

TEST(BackendState, AConnectionThatWasNeverAnsweredMovesWithItsNextSyn) {
  World world(rules_of_three(), 64 * 1024, 1);
  for (int i = 0; i < 30; ++i) {
    Connection connection(world, client(i));
    ASSERT_EQ(connection.syn().verdict.action, Action::forward);
    const bool is_dead = connection.backend() == "10.0.0.3:80";
    world.reload(rules_of_three(down(1)));
    const Outcome again = world.send(tcp(client(i), kVip).syn().seq(1000));
    ASSERT_EQ(again.verdict.action, Action::forward);
    EXPECT_NE(destination_of(again.out[0]).to_string(), "10.0.0.3:80");
    if (!is_dead) {
      EXPECT_EQ(destination_of(again.out[0]).to_string(), connection.backend());
    }
    world.reload(rules_of_three());
  }
}

TEST(BackendState, AnAnsweredHandshakeIsKept) {
  World world(rules_of_three([](Service& service) { service.backends.resize(1); }));
  Connection connection(world, client(0));
  ASSERT_EQ(connection.syn().verdict.action, Action::forward);
  ASSERT_EQ(world.send(connection.from_backend().syn().ack(1001)).verdict.action, Action::forward);
  world.reload(rules_of_three([](Service& service) {
    service.backends.resize(1);
    service.backends[0].down = true;
  }));
  EXPECT_EQ(world.send(connection.from_client().ack(500001)).verdict.action, Action::forward);
}

TEST(BackendState, ADrainedBackendKeepsAllItsFlowsAndGetsNone) {
  World world(rules_of_three());
  auto all = connections(world, 30);
  std::map<int, std::string> datagrams;
  for (int i = 100; i < 200; ++i) datagrams[i] = asks(world, client(i));
  world.reload(rules_of_three(drained(1)));
  world.pass_time(seconds(1));
  for (Connection& connection : all) EXPECT_TRUE(connection.exchange());
  for (const auto& [i, backend] : datagrams) EXPECT_EQ(asks(world, client(i)), backend);
  const BackendSigns then = signs_of(*world.ruleset(), 0, 1);
  EXPECT_GT(then.flows, 20U);
  for (int i = 200; i < 400; ++i) EXPECT_NE(asks(world, client(i)), "10.0.0.3:80");
  EXPECT_EQ(signs_of(*world.ruleset(), 0, 1), then);
}

TEST(BackendState, ADrainedBackendThatIsDownTooKeepsNoDatagrams) {
  World world(rules_of_three());
  auto all = connections(world, 30);
  for (int i = 100; i < 200; ++i) asks(world, client(i));
  world.reload(rules_of_three([](Service& service) { service.backends[1].down = service.backends[1].drained = true; }));
  for (int i = 100; i < 200; ++i) EXPECT_NE(asks(world, client(i)), "10.0.0.3:80");
  for (Connection& connection : all) EXPECT_TRUE(connection.exchange());
}

TEST(BackendState, WeightZeroKeepsAllFlowsToo) {
  World world(rules_of_three());
  std::map<int, std::string> datagrams;
  for (int i = 0; i < 100; ++i) datagrams[i] = asks(world, client(i));
  world.reload(rules_of_three([](Service& service) { service.backends[1].weight = 0; }));
  for (const auto& [i, backend] : datagrams) EXPECT_EQ(asks(world, client(i)), backend);
  for (int i = 200; i < 400; ++i) EXPECT_NE(asks(world, client(i)), "10.0.0.3:80");
}

TEST(BackendState, ABackupTakesFlowsWhileNoOtherBackendDoes) {
  const auto with = [](bool first_is_down, bool second_is_drained) {
    return rules_of_three([&](Service& service) {
      service.backends[0].down = first_is_down;
      service.backends[1].drained = second_is_drained;
      service.backends[2].backup = true;
    });
  };
  World world(with(false, false));
  for (int i = 0; i < 100; ++i) EXPECT_NE(asks(world, client(i)), "10.0.0.4:80");
  world.reload(with(true, false));
  for (int i = 100; i < 150; ++i) EXPECT_EQ(asks(world, client(i)), "10.0.0.3:80");
  world.reload(with(true, true));
  for (int i = 200; i < 250; ++i) EXPECT_EQ(asks(world, client(i)), "10.0.0.4:80");
  world.reload(with(false, true));
  for (int i = 300; i < 350; ++i) EXPECT_EQ(asks(world, client(i)), "10.0.0.2:80");
  EXPECT_EQ(asks(world, client(200)), "10.0.0.4:80") << "what the backup has it keeps";
}

TEST(BackendState, FlowsInTurnAndByLoadReachTheEngine) {
  for (const Balance balance : {Balance::round_robin, Balance::least_connections}) {
    World world(rules_of_three([&](Service& service) {
                  service.balance = balance;
                  service.backends[2].weight = 2;
                }),
                64 * 1024, 4);
    for (int i = 0; i < 400; ++i) asks(world, client(i));
    EXPECT_EQ(signs_of(*world.ruleset(), 0, 0).flows, 100U);
    EXPECT_EQ(signs_of(*world.ruleset(), 0, 1).flows, 100U);
    EXPECT_EQ(signs_of(*world.ruleset(), 0, 2).flows, 200U);
  }
}

TEST(BackendState, LoadsSurviveAReloadForTheNextChoice) {
  const Rules rules = rules_of_three([](Service& service) { service.balance = Balance::least_connections; });
  World world(rules);
  auto all = connections(world, 30);
  for (Connection& connection : all) {
    if (connection.backend() == "10.0.0.3:80") {
      ASSERT_TRUE(connection.close_by_client());
    }
  }
  world.reload(rules);
  for (int i = 100; i < 110; ++i) EXPECT_EQ(asks(world, client(i)), "10.0.0.3:80") << "before any flow was looked at";
}

TEST(BackendState, Fault8_AFlappingBackendDisturbsNobodyElse) {
  for (const OnBackendDown on_down : {OnBackendDown::keep, OnBackendDown::reset}) {
    const auto with = [&](bool down) {
      return rules_of_three([&](Service& service) {
        service.on_backend_down = on_down;
        service.backends[1].down = down;
      });
    };
    World world(with(false));
    auto all = connections(world, 60);
    int next = 1000;
    for (int second = 0; second < 60; ++second) {
      const bool down = second % 2 == 0;
      world.reload(with(down));
      for (int i = 0; i < 20; ++i) {
        const std::string backend = asks(world, client(next++));
        EXPECT_NE(backend, "");
        if (down) {
          EXPECT_NE(backend, "10.0.0.3:80");
        }
      }
      for (Connection& connection : all) {
        const bool stays = on_down == OnBackendDown::keep || connection.backend() != "10.0.0.3:80";
        if (stays) {
          ASSERT_TRUE(connection.exchange());
        }
      }
      world.pass_time(seconds(1));
    }
    if (on_down == OnBackendDown::keep) {
      for (Connection& connection : all) EXPECT_TRUE(connection.exchange());
    }
  }
}

TEST(BackendState, Fault9_AllBackendsDownIsToldAsConfiguredAndEndsAtOnce) {
  for (const Unmatched unmatched : {Unmatched::reject, Unmatched::drop}) {
    Rules up = rules_of_three();
    up.vips[0].unmatched = unmatched;
    Rules down = up;
    for (Backend& backend : down.vips[0].services[0].backends) backend.down = true;
    World world(up);
    Connection kept(world, client(0));
    ASSERT_TRUE(kept.open());
    asks(world, client(1));
    world.reload(down);
    const Outcome syn = world.send(tcp(client(2), kVip).syn().seq(6));
    EXPECT_EQ(syn.verdict.reason, Reason::no_backend);
    EXPECT_EQ(syn.text(), unmatched == Unmatched::drop
                              ? ""
                              : "tcp 203.0.113.10:80 > 198.51.100.7:10002 RA seq 0 ack 7 win 0 length 0");
    for (const int number : {1, 3}) {  // a flow that was, and a new one
      const Outcome datagram = world.send(udp(client(number), kVip).payload("?"));
      EXPECT_EQ(datagram.verdict.reason, Reason::no_backend);
      EXPECT_EQ(datagram.text().find("type 3 code 3") != std::string::npos, unmatched == Unmatched::reject);
    }
    EXPECT_TRUE(kept.exchange());
    EXPECT_EQ(world.flows(), 1U);
    world.reload(up);
    EXPECT_TRUE(Connection(world, client(2)).open()) << "recovery at once";
    EXPECT_NE(asks(world, client(1)), "");
  }
}

TEST(BackendState, RulesetsAreLetGoWhenNoFlowIsCountedInThem) {
  World world(rules_of_three(), 64 * 1024);
  for (int i = 0; i < 40000; ++i) {
    world.send(udp("198.51.100." + std::to_string(i / 10000) + ":" + std::to_string(1024 + i % 10000), kVip));
  }
  ASSERT_GT(world.flows(), 39000U) << "some ten rounds of run()";
  std::vector<std::weak_ptr<const Ruleset>> all;
  const auto alive = [&] {
    return std::count_if(all.begin(), all.end(), [](const auto& ruleset) { return !ruleset.expired(); });
  };
  for (int i = 0; i < 200; ++i) {
    world.reload(rules_of_three());
    all.push_back(world.ruleset());
    world.pass_time(milliseconds(10));
  }
  EXPECT_LT(alive(), 60) << "even where each comes before flows were held against the last";
  world.pass_time(seconds(60));
  EXPECT_EQ(alive(), 1);
  EXPECT_EQ(signs_of(*world.ruleset(), 0, 0).flows + signs_of(*world.ruleset(), 0, 1).flows +
                signs_of(*world.ruleset(), 0, 2).flows,
            world.flows());
}

}  // namespace
}  // namespace vipgate::test
