#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "engine/ftp_session.h"
#include "engine/world.h"

// The process is killed, and the next one finds the records of its flows.

namespace vipgate::test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr const char* kClient = "198.51.100.7:40000";
constexpr const char* kPrivateHost = "10.0.0.5:4000";
constexpr const char* kServer = "192.0.2.80:443";

std::string client(int number) {
  return "198.51.100.7:" + std::to_string(10000 + number);
}

Rules with_egress() {
  Rules rules = rules_with({{.name = "web"}});
  rules.egress = {{.from = *Ipv4Prefix::parse("10.0.0.0/24"), .as = address("203.0.113.10"), .except = {}}};
  return rules;
}

TEST(Adoption, Fault5_ConnectionsOfAllKindsGoOn) {
  World world(rules_with({{.name = "web", .backends = {"10.0.0.2:80", "10.0.0.3:80"}},
                          {.name = "seen", .port = 81, .backends = {"10.0.0.4:80"}, .source = SourceMode::preserve},
                          {.name = "dns", .protocols = {Protocol::udp}, .port = 53, .backends = {"10.0.0.5:53"}}}));
  std::vector<Connection> connections;
  for (int i = 0; i < 200; ++i) {
    connections.emplace_back(world, client(i), i % 2 == 0 ? "203.0.113.10:80" : "203.0.113.10:81");
    ASSERT_TRUE(connections.back().open() && connections.back().exchange());
  }
  const Outcome query = world.send(udp(kClient, "203.0.113.10:53").payload("?"));
  const std::string resolver = source_of(query.out.at(0)).to_string();

  const Adoption adopted = world.restart();
  EXPECT_EQ(adopted.flows, 201U);
  EXPECT_EQ(adopted.broken, 0U);
  EXPECT_EQ(world.flows(), 201U);
  for (Connection& connection : connections) EXPECT_TRUE(connection.exchange());
  EXPECT_EQ(world.send(udp("10.0.0.5:53", resolver).payload("!")).text(),
            "udp 203.0.113.10:53 > 198.51.100.7:40000 length 1");
  EXPECT_EQ(world.counters().flows_opened, 0U);
}

TEST(Adoption, Fault5_AnotherNumberOfWorkersFindsAllFlows) {
  World world(rules_with({{.name = "web"}}), 64 * 1024, 3);
  std::vector<Connection> connections;
  for (int i = 0; i < 300; ++i) {
    connections.emplace_back(world, client(i));
    ASSERT_TRUE(connections.back().open());
  }
  for (const std::uint32_t workers : {1U, 4U, 64U, 7U}) {
    EXPECT_EQ(world.restart(workers).flows, 300U);
    for (Connection& connection : connections) EXPECT_TRUE(connection.exchange());
  }
}

TEST(Adoption, Fault5_AHandshakeGoesOnWhereverItIs) {
  for (int seen = 0; seen < 3; ++seen) {
    for (int lost = 0; lost < 2; ++lost) {
      World world(rules_with({{.name = "web", .backends = {"10.0.0.2:80"}}}));
      const auto syn = tcp(kClient, "203.0.113.10:80").syn().seq(1000).mss(1460);
      const std::string source = source_of(world.send(syn).out.at(0)).to_string();
      const auto syn_ack = [&] { return tcp("10.0.0.2:80", source).syn().seq(5000).ack(1001); };
      const auto ack = tcp(kClient, "203.0.113.10:80").seq(1001).ack(5001);
      if (seen >= 1) {
        ASSERT_EQ(world.send(syn_ack()).verdict.action, Action::forward);
      }
      if (seen >= 2) {
        ASSERT_EQ(world.send(ack).verdict.action, Action::forward);
      }
      const Adoption adopted = world.restart();
      EXPECT_EQ(adopted.flows, 1U);
      EXPECT_EQ(adopted.broken, 0U);
      if (lost == 1) {
        EXPECT_EQ(world.send(syn).verdict.action, Action::forward) << seen;
      }
      EXPECT_EQ(world.send(syn_ack()).verdict.action, Action::forward) << seen << lost;
      EXPECT_EQ(world.send(ack).verdict.action, Action::forward) << seen << lost;
      EXPECT_EQ(world.send(tcp("10.0.0.2:80", source).seq(5001).ack(1001).payload("x")).verdict.action,
                Action::forward);
      EXPECT_EQ(world.send(tcp(kClient, "203.0.113.10:80").seq(1001).ack(5002).payload("y")).verdict.action,
                Action::forward);
    }
  }
}

TEST(Adoption, SegmentsThatPassedUnseenDoNotBreakAConnection) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open() && connection.exchange());
  const World::Image before = world.image();
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(connection.exchange());
  world.restart(before);
  EXPECT_TRUE(connection.exchange()) << "far beyond the window that the record knows";
  EXPECT_TRUE(connection.exchange());
  const Outcome wild = world.send(connection.from_client().seq(0x70000000).ack(1).payload("x"));
  EXPECT_EQ(wild.verdict.reason, Reason::tcp_window) << "both sides were heard: windows hold again";
}

TEST(Adoption, FlowsThatMayGiveWayStillDoAndClosedOnesAreReused) {
  World world(rules_with({{.name = "web"}}));
  Connection closed(world, client(0));
  ASSERT_TRUE(closed.open() && closed.close_by_client());
  ASSERT_EQ(world.send(tcp(client(1), "203.0.113.10:80").syn()).verdict.action, Action::forward);
  EXPECT_EQ(world.restart().flows, 2U);
  Connection again(world, client(0));
  EXPECT_TRUE(again.begin_at(70000, 0).open());
  EXPECT_EQ(world.flows(), 2U);
}

TEST(Adoption, SilentFlowsEndInTheirTime) {
  Rules rules = rules_with({{.name = "web"}});
  rules.vips[0].services[0].idle_timeout = hours(3);
  World world(rules);
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  world.pass_time(hours(1));
  world.restart();
  world.pass_time(hours(2) - minutes(10));
  EXPECT_EQ(world.flows(), 1U);
  world.pass_time(minutes(20));
  EXPECT_EQ(world.flows(), 0U) << "the silence before the restart counts";
  EXPECT_EQ(world.counters().flows_expired, 1U);
}

TEST(Adoption, Fault21_TimesOutsideOfTheClockEndNothingAtOnceAndKeepNothingForEver) {
  World world(rules_with({{.name = "web"}}));
  World later(rules_with({{.name = "web"}}));
  later.pass_time(hours(10));
  Connection late(later, kClient);
  ASSERT_TRUE(late.open());
  const World::Image future = later.image();
  EXPECT_EQ(world.restart(future).flows, 1U);
  world.pass_time(hours(2));
  EXPECT_EQ(world.flows(), 1U);
  world.pass_time(minutes(10));
  EXPECT_EQ(world.flows(), 0U) << "seen in the future counts as seen now";
}

TEST(Adoption, NewRulesEndWhatTheyDoNotAllowAndIndicesOfServicesMayMove) {
  World world(rules_with({{.name = "mail", .port = 25}, {.name = "web"}}));
  Connection web(world, client(0));
  Connection mail(world, client(1), "203.0.113.10:25");
  ASSERT_TRUE(web.open() && mail.open());
  EXPECT_EQ(world.restart(rules_with({{.name = "web"}})).flows, 2U);
  world.pass_time(seconds(1));
  EXPECT_EQ(world.flows(), 1U);
  EXPECT_EQ(world.counters().flows_revoked, 1U);
  EXPECT_TRUE(web.exchange());
}

TEST(Adoption, SilentFlowsAreHeldAgainstNewRulesSoon) {
  World world(rules_with({{.name = "mail", .port = 25}, {.name = "web"}}));
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(Connection(world, client(i), "203.0.113.10:25").open());
  world.restart(rules_with({{.name = "web"}}));
  world.pass_time(seconds(3));
  EXPECT_EQ(world.flows(), 0U);
}

TEST(Adoption, LimitsCountTheFlowsThatWereThere) {
  Rules rules = rules_with({{.name = "web"}});
  rules.vips[0].services[0].limits.flows = 3;
  World world(rules);
  std::vector<Connection> connections;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(connections.emplace_back(world, client(i)).open());
  world.restart();
  world.pass_time(seconds(1));
  EXPECT_EQ(world.send(tcp(client(3), "203.0.113.10:80").syn()).verdict.reason, Reason::service_flows);
  for (Connection& connection : connections) EXPECT_TRUE(connection.exchange());
  ASSERT_TRUE(connections[0].close_by_client());
  EXPECT_TRUE(Connection(world, client(4)).open()) << "each was counted once";
  EXPECT_EQ(world.send(tcp(client(5), "203.0.113.10:80").syn()).verdict.reason, Reason::service_flows);
}

TEST(Adoption, APrivateHostKeepsItsPublicPortForAsLongAsItHasFlows) {
  World world(with_egress());
  const auto port = [&](const std::string& server) {
    const Outcome sent = world.send(udp(kPrivateHost, server).payload("x"));
    return sent.out.empty() ? std::uint16_t{0} : source_of(sent.out[0]).port;
  };
  const std::uint16_t first = port(kServer);
  ASSERT_EQ(port("192.0.2.81:443"), first);
  EXPECT_EQ(world.restart().flows, 3U);
  EXPECT_EQ(port("192.0.2.82:443"), first);
  EXPECT_EQ(world.send(udp(kServer, "203.0.113.10:" + std::to_string(first)).payload("y")).text(),
            "udp 192.0.2.80:443 > 10.0.0.5:4000 length 1");
  world.pass_time(minutes(10));
  EXPECT_EQ(world.flows(), 0U) << "the mapping has counted its flows and gone with the last";
}

/// The record of the first flow of a kind, as FlowRecord lays it out: `kind` is byte 27, `protocol` byte 24.
std::span<std::byte> record_of_kind(World::Image& image, std::byte kind) {
  for (std::size_t at = 0; at < image.records.size(); at += 128) {
    if (image.records[at + 24] != std::byte{0} && image.records[at + 27] == kind) {
      return std::span(image.records).subspan(at, 128);
    }
  }
  ADD_FAILURE() << "no such record";
  return {};
}
constexpr std::byte kMapping{3};

TEST(Adoption, ABrokenMappingIsMadeAnewByItsFlows) {
  World world(with_egress());
  const Outcome sent = world.send(udp(kPrivateHost, kServer).payload("x"));
  const Endpoint outside = source_of(sent.out.at(0));
  World::Image image = world.image();
  record_of_kind(image, kMapping)[0] ^= std::byte{1};
  const Adoption adopted = world.restart(image);
  EXPECT_EQ(adopted.broken, 1U);
  EXPECT_EQ(adopted.flows, 2U);
  EXPECT_EQ(source_of(world.send(udp(kPrivateHost, "192.0.2.90:53").payload("x")).out.at(0)), outside);
}

TEST(Adoption, AMappingWithoutFlowsGoes) {
  World world(with_egress());
  world.send(udp(kPrivateHost, kServer).payload("x"));
  World::Image image = world.image();
  record_of_kind(image, std::byte{2})[24] = std::byte{0};
  EXPECT_EQ(world.restart(image).flows, 0U);
}

class AdoptedFtp : public ::testing::TestWithParam<SourceMode> {
 protected:
  World world_{ftp_rules(GetParam())};
};

TEST_P(AdoptedFtp, Fault5_OffsetsOfAControlConnectionAreKept) {
  FtpControl control(world_);
  for (int i = 0; i < 5; ++i) {
    control.backend_says("227 Entering Passive Mode (10,0,0,4,200,10).\r\n");
    EXPECT_EQ(world_.restart().broken, 0U);
    control.client_says("NOOP\r\n");
    EXPECT_EQ(control.backend_says("200 OK\r\n"), "200 OK\r\n") << "FtpControl compares both sides' numbers";
  }
}

TEST_P(AdoptedFtp, Fault5_AnAnnouncedDataConnectionIsStillLetThrough) {
  FtpControl control(world_);
  const std::string line = control.backend_says("227 Entering Passive Mode (10,0,0,4,200,10).\r\n");
  world_.restart();
  open_data(world_, "198.51.100.7:50000", endpoint_in(line), "10.0.0.4:51210");
  EXPECT_EQ(world_.restart().flows, 2U) << "control and data connection";
}

TEST_P(AdoptedFtp, ARecordHasOneOwner) {
  FtpControl first(world_);
  FtpControl second(world_, "198.51.100.7:41000");
  first.backend_says("227 Entering Passive Mode (10,0,0,4,200,10).\r\n");
  World::Image image = world_.image();
  // Both claim what the other has: neither may get it.
  std::vector<std::size_t> extensions;
  for (std::size_t at = 0; at < image.records.size(); at += 128) {
    if (image.records[at + 24] != std::byte{0} && image.records[at + 27] == std::byte{0})
      extensions.push_back(at + 120);
  }
  ASSERT_EQ(extensions.size(), 2U);
  const World::Image whole = image;
  image.records[extensions[0]] ^= std::byte{3};
  const Adoption adopted = world_.restart(image);
  EXPECT_EQ(adopted.broken, 1U);
  EXPECT_EQ(world_.restart(whole).broken, 0U);
  first.client_says("NOOP\r\n");
  second.client_says("NOOP\r\n");
}

INSTANTIATE_TEST_SUITE_P(Sources, AdoptedFtp, ::testing::Values(SourceMode::masquerade, SourceMode::preserve),
                         [](const auto& test) {
                           return test.param == SourceMode::preserve ? "Preserve" : "Masquerade";
                         });

// The number of flows in the configuration was changed.
TEST_P(AdoptedFtp, FlowsMoveToMemoryOfAnotherSize) {
  FtpControl control(world_);
  control.backend_says("227 Entering Passive Mode (10,0,0,4,200,10).\r\n");
  // The helper's record is in the sixth place of its shard: elsewhere, the first one will do.
  World::Image image = world_.image();
  const auto flow = record_of_kind(image, std::byte{0});
  const std::size_t shard =
      static_cast<std::size_t>(flow.data() - image.records.data()) / (image.records.size() / kShards);
  const auto helpers = std::span(image.helpers).subspan(shard * image.helpers.size() / kShards);
  const std::size_t size = image.helpers.size() / kShards / 64;
  std::swap_ranges(helpers.begin(), helpers.begin() + static_cast<std::ptrdiff_t>(size),
                   helpers.subspan(5 * size).begin());
  flow[120] = std::byte{6};
  ASSERT_EQ(world_.restart(image).broken, 0U);
  for (const std::size_t capacity : {64U * 32, 64U * 4096}) {
    World other(ftp_rules(GetParam()), capacity);
    EXPECT_EQ(carry_over(world_.memory(), other.memory()), 0U);
    const Adoption adopted = other.restart();
    EXPECT_EQ(adopted.flows, 2U) << "the control connection and what it expects";
    EXPECT_EQ(adopted.broken, 0U);
    FtpControl(other, control).client_says("NOOP\r\n");
  }
}

TEST(Adoption, WhatFindsNoPlaceInSmallerMemoryIsCounted) {
  World world(rules_with({{.name = "web"}}));
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(Connection(world, client(i)).open());
  World smaller(rules_with({{.name = "web"}}), 64 * 16);
  const std::size_t left = carry_over(world.memory(), smaller.memory());
  EXPECT_EQ(left, 2000 - smaller.restart().flows);
  EXPECT_GT(smaller.flows(), 900U);
}

/// A world with flows of all kinds, in few places, so that broken ones would meet others.
struct Mixed {
  static Rules rules() {
    Rules rules = rules_with({{.name = "web"}, {.name = "ftp", .port = 21, .backends = {kFtpBackend}}});
    rules.vips[0].services[1].helper = Helper::ftp;
    rules.egress = {{.from = *Ipv4Prefix::parse("10.0.0.5"), .as = address("203.0.113.10"), .except = {}}};
    return rules;
  }

  Mixed() {
    for (int i = 0; i < 40; ++i) EXPECT_TRUE(connections.emplace_back(world, client(i)).open());
    for (int i = 0; i < 10; ++i) {
      FtpControl control(world, "198.51.100.7:" + std::to_string(40000 + i));
      control.backend_says("227 Entering Passive Mode (10,0,0,4,200,10).\r\n");
      world.send(udp("10.0.0.5:" + std::to_string(5000 + i), kServer).payload("x"));
    }
    image = world.image();
    flows = world.flows();
  }

  World world{rules(), 64 * 64};
  std::vector<Connection> connections;
  World::Image image;
  std::size_t flows = 0;
};

// A record whose bits are flipped goes, or goes on with what it says now; it takes no other with it.
TEST(Adoption, Fault6_FlippedBitsBreakNoOtherFlow) {
  Mixed mixed;
  std::mt19937 random(11);
  for (int round = 0; round < 400; ++round) {
    World::Image image = mixed.image;
    const std::size_t broken = 1 + random() % 8;
    for (std::size_t i = 0; i < broken; ++i) {
      std::vector<std::byte>& bytes = random() % 4 == 0 ? image.helpers : image.records;
      bytes[random() % bytes.size()] ^= std::byte{static_cast<unsigned char>(1U << random() % 8)};
    }
    const Adoption adopted = mixed.world.restart(image);
    // A flipped `protocol` ends a flow silently; a broken egress flow takes its mapping with it.
    EXPECT_GE(adopted.flows + 2 * broken, mixed.flows);
    EXPECT_LE(adopted.broken, 2 * broken);
    std::size_t lost = 0;
    for (const Connection& connection : mixed.connections) {
      if (mixed.world.send(connection.from_client().ack(500001).payload("x")).verdict.action != Action::forward) ++lost;
    }
    EXPECT_LE(lost, broken);
    mixed.world.pass_time(std::chrono::milliseconds(100));
  }
  mixed.world.pass_time(hours(3));
}

TEST(Adoption, Fault6_AnyBytesAtAllAreSurvived) {
  World world(Mixed::rules(), 64 * 16);
  std::mt19937 random(12);
  World::Image image = world.image();
  for (int round = 0; round < 50; ++round) {
    for (std::byte& byte : image.records) byte = std::byte{static_cast<unsigned char>(random())};
    for (std::byte& byte : image.helpers) byte = std::byte{static_cast<unsigned char>(random())};
    const Adoption adopted = world.restart(image);
    EXPECT_EQ(adopted.flows, 0U);
    EXPECT_GT(adopted.broken, 900U);
    EXPECT_TRUE(Connection(world, client(round)).open());
  }
}

TEST(Adoption, TheSameFlowTwiceIsAdoptedOnce) {
  World world(rules_with({{.name = "web"}}), 64 * 16);
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  World::Image image = world.image();
  std::size_t at = 0;
  while (image.records[at + 24] == std::byte{0}) at += 128;
  std::copy_n(image.records.begin() + static_cast<std::ptrdiff_t>(at), 128,
              image.records.begin() + static_cast<std::ptrdiff_t>(at) + 128);
  const Adoption adopted = world.restart(image);
  EXPECT_EQ(adopted.flows, 1U);
  EXPECT_EQ(adopted.broken, 1U);
  EXPECT_TRUE(connection.exchange());
}

// Records that were free are free again: a table fills to the last place, whatever was erased before the kill.
TEST(Adoption, FreeRecordsAreFoundAgain) {
  World world(rules_with({{.name = "dns", .protocols = {Protocol::udp}, .port = 53}}), 64 * 4);
  std::mt19937 random(5);
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 100; ++i) {
      world.send(udp(client(static_cast<int>(random() % 50000)), "203.0.113.10:53").payload("?"));
    }
    world.restart();
    EXPECT_LE(world.flows(), 256U);
  }
  for (int i = 0; i < 4000; ++i) world.send(udp(client(i), "203.0.113.10:53").payload("?"));
  EXPECT_EQ(world.flows(), 256U);
}

}  // namespace
}  // namespace vipgate::test
