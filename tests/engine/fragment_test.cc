#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "engine/world.h"
#include "support/fragments.h"

namespace vipgate::test {
namespace {

using std::chrono::seconds;

constexpr const char* kClient = "198.51.100.7:40000";
constexpr const char* kVip = "203.0.113.10:53";

Rules dns(SourceMode source = SourceMode::masquerade) {
  return rules_with(
      {{.name = "dns", .protocols = {Protocol::udp}, .port = 53, .backends = {"10.0.0.4:5353"}, .source = source}});
}

PacketBuilder datagram(std::size_t size, const std::string& from = kClient, const std::string& to = kVip) {
  return udp(from, to).payload_of(size).fragment(0, false);  // DF clear
}

/// What came out for a set of fragments, each read by some worker.
std::vector<WirePacket> send_all(World& world, const std::vector<WirePacket>& fragments, std::uint32_t workers = 1) {
  std::vector<WirePacket> out;
  std::uint32_t worker = 0;
  for (const WirePacket& fragment : fragments) {
    const Outcome outcome = world.send(fragment, worker++ % workers);
    const bool last = &fragment == &fragments.back();
    EXPECT_EQ(outcome.verdict.action, last ? Action::forward : Action::hold) << name_of(outcome.verdict.reason);
    out.insert(out.end(), outcome.out.begin(), outcome.out.end());
  }
  return out;
}

std::vector<std::uint8_t> payload_of(const std::vector<WirePacket>& fragments) {
  std::vector<std::uint8_t> bytes;
  for (const WirePacket& fragment : fragments) {
    bytes.insert(bytes.end(), fragment.bytes().begin() + 20, fragment.bytes().end());
  }
  bytes.erase(bytes.begin(), bytes.begin() + 8);
  return bytes;
}

TEST(Fragments, Rfc4787Req13_Req14_ATranslatedDatagramLeavesInFragmentsAsItCame) {
  for (const std::uint32_t workers : {1U, 4U}) {
    for (const SourceMode mode : {SourceMode::masquerade, SourceMode::preserve}) {
      World world(dns(mode), 64 * 1024, workers);
      std::mt19937 random(1);
      for (int round = 0; round < 50; ++round) {
        auto fragments = fragments_of(datagram(5000).ip_id(static_cast<std::uint16_t>(round)).build(), 1500);
        if (round > 0) std::shuffle(fragments.begin(), fragments.end(), random);
        const auto out = send_all(world, fragments, workers);
        ASSERT_EQ(out.size(), 4U);
        EXPECT_TRUE(std::ranges::all_of(out, [](const WirePacket& p) { return p.bytes().size() <= 1500; }));
        EXPECT_EQ(destination_of(out[0]), endpoint("10.0.0.4:5353"));
        const WirePacket sent = datagram(5000).build();
        EXPECT_TRUE(std::ranges::equal(payload_of(out), sent.bytes().subspan(28)));
      }
      EXPECT_EQ(world.flows(), 1U);
    }
  }
}

TEST(Fragments, TheAnswerInFragmentsComesBackToo) {
  World world(dns());
  const Outcome query = world.send(udp(kClient, kVip).payload("?"));
  const std::string source = source_of(query.out.at(0)).to_string();
  const auto out = send_all(world, fragments_of(datagram(4000, "10.0.0.4:5353", source).build(), 1300));
  EXPECT_EQ(source_of(out.at(0)), endpoint(kVip));
  EXPECT_EQ(destination_of(out.at(0)), endpoint(kClient));
}

TEST(Fragments, ATcpSegmentInFragmentsTooAndAPing) {
  World world(rules_with({{.name = "web"}}));
  Connection connection(world, kClient);
  ASSERT_TRUE(connection.open());
  const auto segment = connection.from_client().psh().ack(500001).payload_of(3000).fragment(0, false);
  EXPECT_EQ(send_all(world, fragments_of(segment.build(), 1000)).size(), 4U);
  const auto ping = echo_request("198.51.100.7", "203.0.113.10", 7).payload_of(3000).fragment(0, false);
  Outcome last;
  for (const WirePacket& fragment : fragments_of(ping.build(), 1500)) last = world.send(fragment);
  EXPECT_EQ(last.verdict.action, Action::reply);
  EXPECT_EQ(last.out.size(), 3U) << "in fragments as it came";
}

TEST(Fragments, Fault12_OverlapsAreDroppedAndCounted) {
  World world(dns());
  const auto fragments = fragments_of(datagram(3000).build(), 1500);
  EXPECT_EQ(world.send(fragments[0]).verdict.action, Action::hold);
  EXPECT_EQ(world.send(fragments_of(datagram(3000).build(), 1000)[1]).verdict.reason, Reason::fragment_overlap);
  EXPECT_EQ(world.send(fragments[1]).verdict.action, Action::drop);
  EXPECT_EQ(world.flows(), 0U);
}

TEST(Fragments, AfterHalfAMinuteTheSenderIsTold) {
  World world(dns());
  const auto fragments = fragments_of(datagram(3000).build(), 1500);
  world.send(fragments[0]);
  world.send(fragments[2]);
  world.pass_time(seconds(31));
  const auto sent = world.sent_meanwhile();
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].bytes()[20], 11);
  EXPECT_EQ(sent[0].bytes()[21], 1);
  EXPECT_EQ(world.counters().datagrams_expired, 1U);
}

TEST(Fragments, Fault13_AFloodOfThemLeavesWholePacketsAlone) {
  World world(dns());
  std::mt19937 random(4);
  for (int i = 0; i < 20000; ++i) {
    const std::string source = "192.0.2." + std::to_string(random() % 250) + ":1000";
    const auto id = static_cast<std::uint16_t>(random());
    world.send(fragments_of(datagram(3000, source).ip_id(id).build(), 1500)[random() % 2]);
    if (i % 100 != 0) continue;
    EXPECT_EQ(world.send(udp(kClient, kVip).payload("?")).verdict.action, Action::forward);
  }
  world.pass_time(seconds(40));
  EXPECT_EQ(world.counters().actions[static_cast<std::size_t>(Action::hold)], 20000U);
}

TEST(Fragments, AStrayDatagramPassesInFragmentsAsItCame) {
  World world(dns(SourceMode::preserve));
  Outcome last;
  for (const WirePacket& fragment : fragments_of(datagram(3000, "10.0.0.4:9", "192.0.2.1:9").build(), 1500)) {
    last = world.send(fragment);
  }
  EXPECT_EQ(last.verdict.action, Action::pass);
  EXPECT_EQ(last.out.size(), 3U);
}

TEST(Fragments, Rfc1812_AnErrorIsNeverAboutALaterFragment) {
  World world(dns());
  const auto fragments = fragments_of(datagram(3000).build(), 1500);
  world.send(fragments[1]);
  world.pass_time(seconds(31));
  EXPECT_TRUE(world.sent_meanwhile().empty());
}

}  // namespace
}  // namespace vipgate::test
