#include "nat/service_load.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "flow/hash.h"

namespace vipgate::test {
namespace {

constexpr std::uint16_t kService = 1;
constexpr Time kStart{std::chrono::hours(1)};

ServiceLoad load_with(const Limits& limits) {
  return ServiceLoad({Limits{}, limits});
}
std::uint64_t client(std::uint32_t number) {
  return KeyedHash(1)(number);
}

TEST(ServiceLoad, limits_flows_of_a_service) {
  ServiceLoad load = load_with({.flows = 3});
  EXPECT_TRUE(load.is_limited(kService));
  EXPECT_FALSE(load.is_limited(0));
  for (std::uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(load.objection(kService, client(i)), Reason::none);
    load.add(kService, client(i));
  }
  EXPECT_EQ(load.objection(kService, client(9)), Reason::service_flows);
  load.remove(kService, client(0));
  EXPECT_EQ(load.objection(kService, client(9)), Reason::none);
}

TEST(ServiceLoad, Rfc6888_limits_flows_of_one_client_and_not_of_others) {
  ServiceLoad load = load_with({.flows_per_client = 10});
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(load.objection(kService, client(1)), Reason::none) << i;
    load.add(kService, client(1));
  }
  EXPECT_EQ(load.objection(kService, client(1)), Reason::client_flows);
  EXPECT_EQ(load.objection(kService, client(2)), Reason::none);
  load.remove(kService, client(1));
  EXPECT_EQ(load.objection(kService, client(1)), Reason::none);
}

TEST(ServiceLoad, counts_never_too_few_and_seldom_too_many) {
  ServiceLoad load = load_with({.flows_per_client = 4});
  constexpr std::uint32_t kClients = 262144;
  for (std::uint32_t i = 0; i < kClients; ++i) load.add(kService, client(i));
  for (int i = 0; i < 3; ++i) load.add(kService, client(7));
  EXPECT_EQ(load.objection(kService, client(7)), Reason::client_flows);
  int wronged = 0;  // with one flow, and taken for one with four
  for (std::uint32_t i = 0; i < kClients; ++i) {
    wronged += load.objection(kService, client(i)) == Reason::client_flows ? 1 : 0;
  }
  EXPECT_LT(wronged, 40);
  for (std::uint32_t i = 0; i < kClients; ++i) load.remove(kService, client(i));
  for (int i = 0; i < 3; ++i) load.remove(kService, client(7));
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(load.objection(kService, client(7)), Reason::none) << "all is taken back";
    load.add(kService, client(7));
  }
}

TEST(ServiceLoad, limits_new_flows_by_the_second_with_a_second_s_burst) {
  ServiceLoad load = load_with({.new_per_second = 50});
  int taken = 0;
  for (int i = 0; i < 1000; ++i) taken += load.take_turn(kService, kStart) ? 1 : 0;
  EXPECT_EQ(taken, 50);
  for (int ms = 1; ms <= 10000; ++ms) {
    taken += load.take_turn(kService, kStart + std::chrono::milliseconds(ms)) ? 1 : 0;
  }
  EXPECT_NEAR(taken, 50 + 500, 1);
  EXPECT_TRUE(load.take_turn(0, kStart)) << "no limit";
}

TEST(ServiceLoad, workers_count_together) {
  ServiceLoad load = load_with({.flows = 100000, .flows_per_client = 100000, .new_per_second = 1000});
  std::vector<std::thread> workers;
  std::atomic<int> turns = 0;
  for (int w = 0; w < 4; ++w) {
    workers.emplace_back([&] {
      for (int i = 0; i < 10000; ++i) load.add(kService, client(1));
      for (int i = 0; i < 9000; ++i) load.remove(kService, client(1));
      for (int i = 0; i < 1000; ++i) turns += load.take_turn(kService, kStart) ? 1 : 0;
    });
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(turns, 1000);
  for (int i = 0; i < 96000; ++i) load.add(kService, client(1));
  EXPECT_NE(load.objection(kService, client(1)), Reason::none);
  load.remove(kService, client(1));
  EXPECT_EQ(load.objection(kService, client(1)), Reason::none);
}

}  // namespace
}  // namespace vipgate::test
