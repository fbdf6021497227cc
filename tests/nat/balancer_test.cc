#include "nat/balancer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "support/packet_builder.h"

namespace vipgate::test {
namespace {

using Loads = std::vector<std::shared_ptr<BackendLoad>>;

Loads loads_for(std::size_t count) {
  Loads loads;
  for (std::size_t i = 0; i < count; ++i) loads.push_back(std::make_shared<BackendLoad>());
  return loads;
}

BalanceInput input_of(Balance balance, const std::vector<std::uint32_t>& weights, Affinity affinity = Affinity::none) {
  BalanceInput input{.balance = balance, .affinity = affinity, .entries = {}};
  for (std::uint64_t i = 0; i < weights.size(); ++i) {
    input.entries.push_back({(0x0a000002 + i) << 16 | 8080, weights[i]});
  }
  return input;
}

std::vector<Endpoint> clients(std::size_t count) {
  std::mt19937_64 random(1);
  std::vector<Endpoint> all;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t bits = random();
    all.push_back({Ipv4Address(static_cast<std::uint32_t>(bits)), static_cast<std::uint16_t>(bits >> 32)});
  }
  return all;
}

/// The key of each client's backend.
std::vector<std::uint64_t> choices(const BalanceInput& input, const std::vector<Endpoint>& clients) {
  const Balancer balancer(input);
  std::vector<std::uint64_t> keys;
  for (const Endpoint& client : clients) keys.push_back(input.entries.at(balancer.choose(client, {}).value()).key);
  return keys;
}

double moved(const std::vector<std::uint64_t>& before, const std::vector<std::uint64_t>& after) {
  std::size_t changed = 0;
  for (std::size_t i = 0; i < before.size(); ++i) changed += before[i] == after[i] ? 0 : 1;
  return static_cast<double>(changed) / static_cast<double>(before.size());
}

TEST(BalancerMaglev, one_of_n_that_comes_or_goes_moves_at_most_its_share_and_1_percent) {
  for (const std::size_t count : {2U, 3U, 4U, 5U, 7U, 10U, 15U, 20U, 21U, 33U, 64U, 99U, 100U}) {
    const auto asked = clients(count > 20 ? 15000 : 40000);
    const BalanceInput all = input_of(Balance::maglev, std::vector<std::uint32_t>(count, 1));
    const auto before = choices(all, asked);
    for (std::size_t gone = 0; gone < count; ++gone) {
      BalanceInput fewer = all;
      fewer.entries.erase(fewer.entries.begin() + static_cast<std::ptrdiff_t>(gone));
      const auto after = choices(fewer, asked);
      ASSERT_LE(moved(before, after), 1 / static_cast<double>(count) + 0.01) << gone << " of " << count;
      BalanceInput down = all;
      down.entries[gone].weight = 0;
      ASSERT_EQ(choices(down, asked), after) << "whoever is down might as well not be there";
    }
  }
}

TEST(BalancerMaglev, with_weights_too) {
  const std::vector<std::uint32_t> weights = {1, 5, 2, 100, 40, 7, 7, 65, 33, 12};
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  const auto asked = clients(40000);
  const BalanceInput all = input_of(Balance::maglev, weights);
  const auto before = choices(all, asked);
  for (std::size_t gone = 0; gone < weights.size(); ++gone) {
    const double share = weights[gone] / sum;
    EXPECT_NEAR(static_cast<double>(std::count(before.begin(), before.end(), all.entries[gone].key)) / 40000, share,
                0.01);
    BalanceInput fewer = all;
    fewer.entries.erase(fewer.entries.begin() + static_cast<std::ptrdiff_t>(gone));
    EXPECT_LE(moved(before, choices(fewer, asked)), share + 0.01) << gone;
    BalanceInput heavier = all;
    heavier.entries[gone].weight += 20;
    EXPECT_LE(moved(before, choices(heavier, asked)), 20 / (sum + 20) + 0.01) << gone;
  }
}

TEST(BalancerMaglev, equal_backends_have_equal_shares_whatever_the_order) {
  const auto asked = clients(100000);
  BalanceInput input = input_of(Balance::maglev, std::vector<std::uint32_t>(10, 3));
  const auto before = choices(input, asked);
  for (const BalanceEntry& entry : input.entries)
    EXPECT_NEAR(static_cast<double>(std::count(before.begin(), before.end(), entry.key)), 10000, 400);
  std::reverse(input.entries.begin(), input.entries.end());
  EXPECT_EQ(moved(before, choices(input, asked)), 0);
  for (BalanceEntry& entry : input.entries) entry.weight = 1;
  EXPECT_EQ(moved(before, choices(input, asked)), 0);
}

TEST(BalancerMaglev, many_backends_have_a_table_with_the_same_promise) {
  const auto asked = clients(40000);
  for (const std::size_t count : {Balancer::kFew + 2, std::size_t{300}}) {
    BalanceInput input = input_of(Balance::maglev, std::vector<std::uint32_t>(count, 1));
    const auto before = choices(input, asked);
    for (const std::size_t gone : {std::size_t{0}, count / 3, count - 1}) {
      BalanceInput fewer = input;
      fewer.entries.erase(fewer.entries.begin() + static_cast<std::ptrdiff_t>(gone));
      EXPECT_LE(moved(before, choices(fewer, asked)), 1 / static_cast<double>(count) + 0.01) << gone;
    }
    input.entries[7].weight = 0;
    const auto down = choices(input, asked);
    EXPECT_EQ(std::count(down.begin(), down.end(), input.entries[7].key), 0);
    EXPECT_LE(moved(before, down), 1 / static_cast<double>(count) + 0.01);
  }
}

TEST(BalancerAffinity, keeps_all_flows_of_a_client_at_one_backend) {
  for (const std::size_t count : {std::size_t{5}, Balancer::kFew + 1}) {
    const Balancer sticky(input_of(Balance::maglev, std::vector<std::uint32_t>(count, 1), Affinity::client));
    const Balancer free(input_of(Balance::maglev, std::vector<std::uint32_t>(count, 1)));
    std::map<std::uint16_t, int> backends;
    for (std::uint32_t client = 0; client < 1000; ++client) {
      const Endpoint first{Ipv4Address(0xc6336400 + client), 1024};
      const Endpoint second{first.address, 40000};
      ASSERT_EQ(sticky.choose(first, {}), sticky.choose(second, {}));
      ++backends[sticky.choose(first, {}).value()];
    }
    EXPECT_GT(backends.size(), count * 9 / 10);
    std::map<std::uint16_t, int> of_one;
    for (std::uint16_t port = 1024; port < 2024; ++port) ++of_one[free.choose({Ipv4Address(1), port}, {}).value()];
    EXPECT_GT(of_one.size(), count * 9 / 10);
  }
}

TEST(BalancerTurns, are_taken_together_by_all_workers) {
  const Balancer balancer(input_of(Balance::round_robin, {3, 0, 1, 2}));
  std::array<std::atomic<int>, 4> taken{};
  std::vector<std::thread> workers;
  for (int w = 0; w < 4; ++w) {
    workers.emplace_back([&] {
      for (int i = 0; i < 6000; ++i) ++taken.at(balancer.choose({}, {}).value());
    });
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(taken[0], 12000);
  EXPECT_EQ(taken[1], 0);
  EXPECT_EQ(taken[2], 4000);
  EXPECT_EQ(taken[3], 8000);
}

TEST(BalancerLoad, chooses_the_least_for_its_weight) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::uint32_t> weights(2 + random() % 100);
    for (std::uint32_t& weight : weights) weight = static_cast<std::uint32_t>(random() % 4);
    weights.back() = 1;
    const Loads loads = loads_for(weights.size());
    for (const auto& load : loads) {
      for (auto flows = random() % 20; flows > 0; --flows) load->add_flow();
    }
    const Balancer balancer(input_of(Balance::least_connections, weights));
    const std::size_t chosen = balancer.choose({}, loads).value();
    ASSERT_GT(weights[chosen], 0U);
    const auto relative = [&](std::size_t i) { return static_cast<double>(loads[i]->flows()) / weights[i]; };
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (weights[i] > 0) {
        ASSERT_LE(relative(chosen), relative(i)) << i;
      }
    }
  }
}

TEST(BalancerLoad, fills_up_by_weight_and_takes_turns_when_idle) {
  const Balancer balancer(input_of(Balance::least_connections, {1, 3, 0}));
  const Loads loads = loads_for(3);
  std::array<int, 3> idle{};
  for (int i = 0; i < 400; ++i) ++idle.at(balancer.choose({}, loads).value());
  EXPECT_EQ(idle, (std::array<int, 3>{100, 300, 0}));
  for (int i = 0; i < 400; ++i) loads[balancer.choose({}, loads).value()]->add_flow();
  EXPECT_EQ(loads[0]->flows(), 100U);
  EXPECT_EQ(loads[1]->flows(), 300U);
  for (int i = 0; i < 30; ++i) loads[1]->remove_flow();
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(balancer.choose({}, loads), 1) << "what has lost flows gets the next";
    loads[1]->add_flow();
  }
}

TEST(BalanceInput, backups_stand_in_while_no_other_takes_flows) {
  Service service;
  for (std::uint32_t i = 0; i < 4; ++i)
    service.backends.push_back({.name = {}, .address = Ipv4Address(1U + i), .port = {}});
  service.backends[1].weight = 5;
  service.backends[2].backup = service.backends[3].backup = true;
  const auto weights = [&] {
    std::vector<std::uint32_t> all;
    for (const BalanceEntry& entry : BalanceInput::of(service).entries) all.push_back(entry.weight);
    return all;
  };
  using Weights = std::vector<std::uint32_t>;
  EXPECT_EQ(weights(), (Weights{1, 5, 0, 0}));
  service.backends[0].down = true;
  EXPECT_EQ(weights(), (Weights{0, 5, 0, 0}));
  service.backends[1].drained = true;
  EXPECT_EQ(weights(), (Weights{0, 0, 1, 1}));
  service.backends[2].drained = true;
  EXPECT_EQ(weights(), (Weights{0, 0, 0, 1}));
  service.backends[3].down = true;
  EXPECT_EQ(weights(), (Weights{0, 0, 0, 0}));
  service.backends[1].drained = false;
  EXPECT_EQ(weights(), (Weights{0, 5, 0, 0}));
  service.backends[1].weight = 0;
  service.backends[3].down = false;
  EXPECT_EQ(weights(), (Weights{0, 0, 0, 1})) << "weight 0 is no help either";
}

TEST(Balancer, foresees_what_the_client_alone_decides) {
  const Loads loads = loads_for(200);
  for (const std::size_t count : {1U, 3U, 200U}) {
    const Balancer balancer(input_of(Balance::maglev, std::vector<std::uint32_t>(count, 2)));
    for (const Endpoint& client : clients(100)) ASSERT_EQ(balancer.foresee(client), balancer.choose(client, loads));
  }
  for (const Balance balance : {Balance::round_robin, Balance::least_connections}) {
    const Endpoint client = clients(1).front();
    const Balancer balancer(input_of(balance, {1, 1}));
    for (const unsigned turn : {0U, 1U, 0U, 1U}) {
      EXPECT_EQ(balancer.foresee(client), std::nullopt) << "and no turn is taken";
      EXPECT_EQ(balancer.choose(client, loads), turn);
    }
    EXPECT_EQ(Balancer(input_of(balance, {0, 1})).foresee(client), 1);
    EXPECT_EQ(Balancer(input_of(balance, {0, 0})).foresee(client), std::nullopt);
  }
}

TEST(Balancer, has_nobody_where_nobody_takes_flows) {
  for (const Balance balance : {Balance::maglev, Balance::round_robin, Balance::least_connections}) {
    EXPECT_FALSE(Balancer(input_of(balance, {})).choose({}, {}));
    EXPECT_FALSE(Balancer(input_of(balance, {0, 0})).choose({}, loads_for(2)));
    EXPECT_EQ(Balancer(input_of(balance, {0, 2, 0})).choose({}, loads_for(3)), 1);
  }
}

}  // namespace
}  // namespace vipgate::test
