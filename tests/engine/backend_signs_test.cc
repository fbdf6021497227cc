#include "vipgate/backend_signs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <utility>

#include "engine/world.h"

// What is counted of backends, beside a count of the records themselves.

namespace vipgate::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kClient = "198.51.100.7:40000";
constexpr const char* kVip = "203.0.113.10:80";

/// Traffic aside.
BackendSigns signs(const World& world) {
  BackendSigns signs = signs_of(*world.ruleset(), 0, 0);
  signs.to_backend = signs.from_backend = {};
  return signs;
}

TEST(BackendSigns, AConnectionIsOpenedAndCountsUntilItIsClosed) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_EQ(connection.syn().verdict.action, Action::forward);
  EXPECT_EQ(signs(world), (BackendSigns{.opened = 1, .flows = 1}));
  ASSERT_EQ(world.send(connection.from_backend().syn().ack(1001)).verdict.action, Action::forward);
  ASSERT_EQ(world.send(connection.from_client().ack(500001)).verdict.action, Action::forward);
  EXPECT_EQ(signs(world), (BackendSigns{.opened = 1, .flows = 1}));
  Connection second(world, "198.51.100.7:40001");
  ASSERT_TRUE(second.open());
  EXPECT_EQ(signs(world), (BackendSigns{.opened = 2, .flows = 2}));
  ASSERT_TRUE(second.close_by_client());
  EXPECT_EQ(signs(world), (BackendSigns{.opened = 2, .flows = 1}));
  EXPECT_EQ(world.flows(), 2U) << "in TIME_WAIT";
  world.pass_time(seconds(7500));
  EXPECT_EQ(signs(world), (BackendSigns{.opened = 2, .flows = 0}));
}

TEST(BackendSigns, AConnectionThatProvesOpenAfterAllCountsAgain) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  world.send(tcp(kClient, kVip).syn().seq(900000));  // it may know better than we
  world.send(connection.from_client().rst());
  EXPECT_EQ(signs(world).flows, 0U);
  ASSERT_EQ(world.send(tcp("10.0.0.2:8080", connection.source()).syn().seq(700000).ack(900001)).verdict.action,
            Action::forward);
  EXPECT_EQ(signs(world).flows, 1U);
  world.pass_time(seconds(300));
  EXPECT_EQ(signs(world), (BackendSigns{.opened = 1, .flows = 0}));
}

TEST(BackendSigns, AResetThatAnswersASynIsARefusal) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  connection.syn();
  world.send(tcp("10.0.0.2:8080", connection.source()).rst().ack(1001));
  EXPECT_EQ(signs(world), (BackendSigns{.opened = 1, .refused = 1}));

  Connection later(world, "198.51.100.7:40001");
  ASSERT_TRUE(later.open());
  ASSERT_EQ(world.send(later.from_backend().rst()).verdict.action, Action::forward);
  EXPECT_EQ(signs(world), (BackendSigns{.opened = 2, .refused = 1})) << "no more than the end of a connection";

  Connection given_up(world, "198.51.100.7:40002");
  given_up.syn();
  world.send(given_up.from_client().rst());
  EXPECT_EQ(signs(world).refused, 1U) << "the client's own";
}

TEST(BackendSigns, IcmpUnreachableAboutTheBackendIsARefusal) {
  World world(rules_with({{.name = "web", .protocols = {Protocol::tcp, Protocol::udp}}}));
  const WirePacket query = world.send(udp(kClient, kVip).payload("?")).out.at(0);
  world.send(icmp_error("10.0.0.2", "203.0.113.14", 3, 3).quoting(query));
  EXPECT_EQ(signs(world).refused, 1U) << "by the backend";
  const WirePacket syn = world.send(tcp(kClient, kVip).syn().seq(1000)).out.at(0);
  world.send(icmp_error("10.0.0.254", "203.0.113.14", 3, 1).quoting(syn));
  EXPECT_EQ(signs(world).refused, 2U) << "by a router";
  const WirePacket large = world.send(udp(kClient, kVip).payload_of(1000)).out.at(0);
  ASSERT_EQ(world.send(icmp_error("10.0.0.254", "203.0.113.14", 3, 4).mtu(600).quoting(large)).verdict.action,
            Action::forward);
  world.send(icmp_error("10.0.0.254", "203.0.113.14", 11, 0).quoting(syn));
  EXPECT_EQ(signs(world).refused, 2U) << "too large, too far: nothing about the backend";
  world.send(icmp_error("10.0.0.254", "203.0.113.14", 3, 1).quoting(tcp("203.0.113.14:5", "10.0.0.2:8080").build()));
  EXPECT_EQ(signs(world).refused, 2U) << "of no flow";

  world.send(udp("10.0.0.2:8080", source_of(query).to_string()).payload("!"));
  const WirePacket answer = udp(kVip, kClient).payload("!").build();
  ASSERT_EQ(world.send(icmp_error("198.51.100.7", "203.0.113.10", 3, 3).quoting(answer)).verdict.action,
            Action::forward);
  EXPECT_EQ(signs(world).refused, 2U) << "about the client";
}

TEST(BackendSigns, SynsThatComeAgainAreUnansweredAndSoIsAFlowThatEndsSo) {
  World world(rules_with({{.name = "web"}}));
  world.send(tcp(kClient, kVip).syn().seq(1000));
  EXPECT_EQ(signs(world).unanswered, 0U);
  world.send(tcp(kClient, kVip).syn().seq(1000));
  world.send(tcp(kClient, kVip).syn().seq(1000));
  EXPECT_EQ(signs(world).unanswered, 2U);
  world.pass_time(seconds(300));
  EXPECT_EQ(signs(world), (BackendSigns{.opened = 1, .flows = 0, .refused = 0, .unanswered = 3}));

  Connection answered(world, "198.51.100.7:40001");
  answered.syn();
  world.send(answered.from_backend().syn().ack(1001));
  world.send(tcp("198.51.100.7:40001", kVip).syn().seq(1000));
  world.pass_time(seconds(300));
  EXPECT_EQ(world.flows(), 0U);
  EXPECT_EQ(signs(world).unanswered, 3U) << "this one was the client's fault";
}

TEST(BackendSigns, GoOnOverReloadsWhateverTheIndices) {
  World world(rules_with({{.name = "mail", .port = 25}, {.name = "web", .backends = {"10.0.0.2:80", "10.0.0.3:80"}}}));
  for (int i = 0; i < 100; ++i) world.send(tcp("198.51.100.7:" + std::to_string(20000 + i), kVip).syn());
  const BackendSigns before = signs_of(*world.ruleset(), 1, 1);
  EXPECT_GT(before.flows, 20U);
  world.reload(rules_with({{.name = "web", .backends = {"10.0.0.3:80", "10.0.0.4:80", "10.0.0.2:80"}}}));
  EXPECT_EQ(signs_of(*world.ruleset(), 0, 0), before) << "at once";
  EXPECT_EQ(signs_of(*world.ruleset(), 0, 1), BackendSigns{});
  world.pass_time(seconds(1));
  EXPECT_EQ(signs_of(*world.ruleset(), 0, 0), before);
  world.pass_time(seconds(300));
  EXPECT_EQ(signs_of(*world.ruleset(), 0, 0).flows, 0U);
  EXPECT_EQ(signs_of(*world.ruleset(), 0, 0).unanswered, before.flows);
}

/// Rules in many variants, a world under them, and random things that happen.
class Course {
 public:
  enum class Changes { of_states, of_everything };

  Course(std::uint32_t seed, Changes changes)
      : random_(seed), changes_(changes), world_(next_rules(), std::size_t{64} * 6, 1 + seed % 4) {
    remember();
  }

  void step() {
    switch (below(20)) {
      case 0:
        world_.pass_time(milliseconds(below(8000)));
        break;
      case 1:
        if (below(4) == 0) reload();
        break;
      case 2:
      case 3:
        datagram();
        break;
      case 4:
        any([](Connection& one) { one.close_by_client(); });
        break;
      case 5:
        any([](Connection& one) { one.close_by_backend(); });
        break;
      case 6:
        any([this](Connection& one) { world_.send(one.from_backend().rst()); });
        break;
      case 7:
        any([this](Connection& one) { world_.send(one.from_client().rst()); });
        break;
      case 8:
      case 9:
        any([](Connection& one) { one.exchange(); });
        break;
      case 10:
        any([](Connection& one) { one.open(); });  // again: a SYN in any state
        break;
      default:
        connections_.emplace_back(world_, source(), "203.0.113.10:" + std::to_string(80 + below(2)));
        if (below(3) == 0) {
          connections_.back().syn();
        } else {
          connections_.back().open();
        }
        break;
    }
    if (connections_.size() > 400) connections_.clear();
  }

  /// Present counts beside those of the records.
  void check() const {
    const auto found = naive();
    const Rules& rules = rules_of(*world_.ruleset());
    std::uint16_t index = 0;
    for (const Service& service : rules.vips[0].services) {
      for (std::uint16_t i = 0; i < service.backends.size(); ++i) {
        const auto at = found.find({service.name, service.backends[i].name});
        const std::uint64_t expected = at == found.end() ? 0 : at->second;
        ASSERT_EQ(signs_of(*world_.ruleset(), index, i).flows, expected) << service.name << service.backends[i].name;
      }
      ++index;
    }
  }

  void settle() { world_.pass_time(seconds(1)); }

  /// Silence ends all flows; every load that there ever was is empty.
  void end() {
    world_.pass_time(seconds(200));
    ASSERT_EQ(world_.flows(), 0U);
    for (const auto& ruleset : rulesets_) {
      std::uint16_t index = 0;
      for (const Service& service : rules_of(*ruleset).vips[0].services) {
        for (std::uint16_t i = 0; i < service.backends.size(); ++i) EXPECT_EQ(signs_of(*ruleset, index, i).flows, 0U);
        ++index;
      }
    }
  }

  bool has_everything() const {
    const Counters counters = world_.counters();
    return counters.flows_evicted > 0 && counters.flows_revoked > 0 && counters.flows_expired > 0;
  }

 private:
  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(random_() % bound); }
  std::string source() { return "198.51.100.7:" + std::to_string(20000 + below(600)); }

  template <typename Do>
  void any(Do&& what) {
    if (connections_.empty()) return;
    Connection& one = connections_[below(static_cast<std::uint32_t>(connections_.size()))];
    if (!one.source().empty()) what(one);
  }

  void datagram() {
    const Outcome asked = world_.send(udp(source(), "203.0.113.10:" + std::to_string(81 + below(2))).payload("?"));
    if (asked.verdict.action != Action::forward || below(2) == 0) return;
    world_.send(udp(destination_of(asked.out[0]).to_string(), source_of(asked.out[0]).to_string()).payload("!"));
  }

  Rules next_rules() {
    std::vector<ServiceSketch> sketches = {
        {.name = "web", .backends = {"10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"}},
        {.name = "calls",
         .protocols = {Protocol::tcp, Protocol::udp},
         .port = 81,
         .backends = {"10.0.0.2:81", "10.0.0.3:81"}},
        {.name = "names", .protocols = {Protocol::udp}, .port = 82, .backends = {"10.0.0.2:82", "10.0.0.5:82"}}};
    std::shuffle(sketches.begin(), sketches.end(), random_);
    for (ServiceSketch& sketch : sketches) {
      std::shuffle(sketch.backends.begin(), sketch.backends.end(), random_);
      if (changes_ == Changes::of_everything && below(3) == 0) sketch.backends.pop_back();
      if (changes_ == Changes::of_everything && below(8) == 0) sketch.name += "2";
    }
    if (changes_ == Changes::of_everything && below(4) == 0) sketches.pop_back();
    Rules rules = rules_with(sketches);
    for (Service& service : rules.vips[0].services) {
      service.balance = static_cast<Balance>(below(3));
      service.on_backend_down = static_cast<OnBackendDown>(below(2));
      if (below(6) == 0) service.deny = {*Ipv4Prefix::parse("198.51.100.7")};
      for (Backend& backend : service.backends) {
        backend.weight = below(4);
        backend.down = below(6) == 0;
        backend.drained = below(6) == 0;
      }
    }
    rules.timeouts = Timeouts::linux_profile();
    rules.timeouts.established = rules.timeouts.syn_sent = rules.timeouts.time_wait = seconds(20);
    return rules;
  }

  void reload() {
    // What comes back after it was taken away begins with nothing, and its old flows are counted when they are looked
    // at.
    if (changes_ == Changes::of_everything) settle();
    world_.reload(next_rules());
    remember();
  }

  void remember() { rulesets_.push_back(world_.ruleset()); }

  /// By service and backend. Records name them by index in the ruleset of their generation, which counts from 1.
  std::map<std::pair<std::string, std::string>, std::uint64_t> naive() const {
    std::map<std::pair<std::string, std::string>, std::uint64_t> counts;
    for (const FlowRecord& flow : world_.records()) {
      if (!flow.in_use() || flow.kind != FlowKind::service || flow.flow_class == FlowClass::closed) continue;
      const Service& service = service_at(*rulesets_.at(flow.generation - 1), flow.service);
      ++counts[{service.name, service.backends.at(flow.backend).name}];
    }
    return counts;
  }

  std::mt19937 random_;
  Changes changes_;
  World world_;
  std::vector<std::shared_ptr<const Ruleset>> rulesets_;
  std::vector<Connection> connections_;
};

TEST(BackendSigns, AgreeWithTheRecordsAtEveryMomentWhileBackendsChangeTheirStates) {
  bool all = false;
  for (std::uint32_t seed = 1; seed <= 8; ++seed) {
    Course course(seed, Course::Changes::of_states);
    for (int i = 0; i < 6000; ++i) {
      course.step();
      if (i % 8 == 0) {
        ASSERT_NO_FATAL_FAILURE(course.check()) << "seed " << seed << ", step " << i;
      }
    }
    all = all || course.has_everything();
    course.end();
  }
  EXPECT_TRUE(all) << "evicted, revoked and expired";
}

TEST(BackendSigns, AgreeWithTheRecordsWhileServicesAndBackendsComeAndGo) {
  for (std::uint32_t seed = 1; seed <= 8; ++seed) {
    Course course(seed, Course::Changes::of_everything);
    for (int i = 0; i < 6000; ++i) {
      course.step();
      if (i % 100 != 0) continue;
      course.settle();
      ASSERT_NO_FATAL_FAILURE(course.check()) << "seed " << seed << ", step " << i;
    }
    course.end();
  }
}

TEST(BackendSigns, TrafficIsCountedByBackendAndDirection) {
  World world(rules_with(
      {{.name = "web"}, {.name = "dns", .protocols = {Protocol::udp}, .port = 53, .backends = {"10.0.0.4:53"}}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());  // SYN and ACK there, SYN/ACK back, of 40 bytes each
  const BackendSigns web = signs_of(*world.ruleset(), 0, 0);
  EXPECT_EQ(web.to_backend, (Traffic{.packets = 2, .bytes = 80}));
  EXPECT_EQ(web.from_backend, (Traffic{.packets = 1, .bytes = 40}));
  world.send(udp("198.51.100.7:5353", "203.0.113.10:53").payload_of(72));
  EXPECT_EQ(signs_of(*world.ruleset(), 1, 0).to_backend, (Traffic{.packets = 1, .bytes = 100}));
  EXPECT_EQ(signs_of(*world.ruleset(), 1, 0).from_backend, Traffic{});
  world.send(tcp(kClient, "203.0.113.10:81").syn());  // nobody's
  EXPECT_EQ(signs_of(*world.ruleset(), 0, 0).to_backend.packets, 2U);
}

TEST(BackendSigns, TrafficOfABatchOverManyBackendsIsCountedWhole) {
  std::vector<std::string> backends;
  for (int i = 0; i < 12; ++i) backends.push_back("10.0.1." + std::to_string(i + 1) + ":80");
  World world(rules_with({{.name = "web", .protocols = {Protocol::udp}, .port = 80, .backends = backends}}));
  std::vector<WirePacket> packets;
  for (int i = 0; i < 32; ++i) {
    packets.push_back(udp("198.51.100.7:" + std::to_string(1000 + i), kVip).payload_of(10).build());
  }
  world.send_batch(packets);
  Traffic sum;
  std::size_t used = 0;
  for (std::uint16_t i = 0; i < backends.size(); ++i) {
    const Traffic one = signs_of(*world.ruleset(), 0, i).to_backend;
    sum.packets += one.packets;
    sum.bytes += one.bytes;
    used += one.packets > 0 ? 1 : 0;
  }
  EXPECT_EQ(sum, (Traffic{.packets = 32, .bytes = 32 * 38}));
  EXPECT_GT(used, 4U);
}

}  // namespace
}  // namespace vipgate::test
