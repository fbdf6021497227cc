#include <gtest/gtest.h>

#include <random>

#include "engine/world.h"

namespace vipgate::test {
namespace {

Rules mixed_rules() {
  return rules_with({{.name = "web", .port = 80, .backends = {"10.0.0.2:80", "10.0.0.3:80"}},
                     {.name = "api", .port = 81, .backends = {"10.0.0.4:80"}, .source = SourceMode::preserve},
                     {.name = "dns", .protocols = {Protocol::udp}, .port = 53, .backends = {"10.0.0.5:53"}}});
}

/// Random traffic of many clients, each packet read by a random worker; what came out, as one text.
std::string traffic(std::uint32_t workers) {
  World world(mixed_rules(), 64 * 1024, workers);
  std::mt19937 random(7);
  std::mt19937 steering(8);
  std::string log;
  const auto anywhere = [&] { return static_cast<std::uint32_t>(steering() % workers); };
  for (int n = 0; n < 3000; ++n) {
    const std::string client = "198.51.100.7:" + std::to_string(1024 + random() % 60000);
    const auto kind = random() % 3;
    if (kind == 2) {
      const Outcome query = world.send(udp(client, "203.0.113.10:53").payload("?"), anywhere());
      log += query.text() + "\n";
      if (query.out.empty()) continue;
      log += world.send(udp("10.0.0.5:53", source_of(query.out[0]).to_string()).payload("!"), anywhere()).text() + "\n";
    } else {
      const char* vip = kind == 0 ? "203.0.113.10:80" : "203.0.113.10:81";
      const Outcome syn = world.send(tcp(client, vip).syn().seq(10), anywhere());
      log += syn.text() + "\n";
      if (syn.verdict.action != Action::forward) continue;
      const std::string backend = destination_of(syn.out[0]).to_string();
      const std::string source = source_of(syn.out[0]).to_string();
      log += world.send(tcp(backend, source).syn().seq(50).ack(11), anywhere()).text() + "\n";
      log += world.send(tcp(client, vip).seq(11).ack(51).payload("hello"), anywhere()).text() + "\n";
      const WirePacket sent = tcp(source, backend).seq(11).ack(51).payload("hello").build();
      log += world
                 .send(icmp_error("10.0.0.99", endpoint(source).address.to_string(), 3, 4).mtu(1400).quoting(sent),
                       anywhere())
                 .text() +
             "\n";
    }
  }
  return log;
}

// Results never depend on steering, nor on the number of workers.
TEST(Worker, BugWorkers_TheSameTrafficGivesTheSameBytesWithAnyNumberOfWorkers) {
  const std::string one = traffic(1);
  EXPECT_GT(one.size(), 100000U);
  for (const std::uint32_t workers : {2U, 3U, 4U, 7U, 64U}) EXPECT_EQ(traffic(workers), one) << workers;
}

TEST(Worker, BugWorkers_BothDirectionsOfAFlowBelongToOneShard) {
  World world(mixed_rules());
  for (std::uint16_t port = 1024; port < 5000; ++port) {
    const std::string client = "198.51.100.7:" + std::to_string(port);
    for (const char* vip : {"203.0.113.10:80", "203.0.113.10:81"}) {
      const Outcome syn = world.send(tcp(client, vip).syn().seq(10));
      ASSERT_EQ(syn.verdict.action, Action::forward);
      const Outcome back = world.send(
          tcp(destination_of(syn.out[0]).to_string(), source_of(syn.out[0]).to_string()).syn().seq(50).ack(11));
      ASSERT_EQ(back.verdict.action, Action::forward);
      ASSERT_EQ(back.verdict.shard, syn.verdict.shard);
    }
  }
}

TEST(Worker, CountersAddUpToThePacketsRead) {
  World world(mixed_rules(), 64 * 1024, 1);
  std::mt19937 random(3);
  std::uint64_t sent = 0;
  for (; sent < 20000; ++sent) {
    WirePacket packet = tcp("198.51.100.7:" + std::to_string(1 + random() % 65535), "203.0.113.10:80").syn().build();
    packet.bytes()[random() % packet.bytes().size()] ^= static_cast<std::uint8_t>(1U << random() % 8);
    world.send(packet);
  }
  const Counters counters = world.counters();
  std::uint64_t sum = 0;
  for (const std::uint64_t count : counters.actions) sum += count;
  EXPECT_EQ(sum, sent);
  std::uint64_t reasons = 0;
  for (const std::uint64_t count : counters.reasons) reasons += count;
  EXPECT_GE(reasons, counters.actions[static_cast<std::size_t>(Action::drop)]);
}

}  // namespace
}  // namespace vipgate::test
