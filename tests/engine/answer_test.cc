#include <gtest/gtest.h>

#include "engine/world.h"

namespace vipgate::test {
namespace {

constexpr const char* kClient = "198.51.100.7:40000";

TEST(Answer, Rfc1122_TheVipAnswersPing) {
  World world(rules_with({{.name = "web"}}));
  const Outcome outcome = world.send(echo_request("198.51.100.7", "203.0.113.10", 77).seq(3).payload_of(56).ttl(5));
  EXPECT_EQ(outcome.verdict.action, Action::reply);
  EXPECT_EQ(outcome.text(), "icmp 203.0.113.10 > 198.51.100.7 echo reply id 77 seq 3 length 56");
  EXPECT_EQ(outcome.out[0].bytes()[8], 64) << "a TTL of its own";
}

TEST(Answer, PingCanBeSwitchedOff) {
  Rules rules = rules_with({{.name = "web"}});
  rules.vips[0].ping = Ping::never;
  World world(rules);
  EXPECT_EQ(world.send(echo_request("198.51.100.7", "203.0.113.10", 77)).verdict.reason, Reason::ping_disabled);
}

TEST(Answer, PingWhileTheVipIsServed) {
  Rules rules = rules_with({{.name = "web"}, {.name = "mail", .port = 25}});
  rules.vips[0].ping = Ping::healthy;
  const auto answer = [&] {
    World world(rules);
    return world.send(echo_request("198.51.100.7", "203.0.113.10", 77)).verdict;
  };
  EXPECT_EQ(answer().action, Action::reply);
  rules.vips[0].services[0].backends[0].down = true;
  EXPECT_EQ(answer().action, Action::reply) << "the other service is there";
  rules.vips[0].services[1].backends[0].down = true;
  EXPECT_EQ(answer().reason, Reason::ping_disabled);
  rules.vips[0].services[1].backends[0].drained = true;
  EXPECT_EQ(answer().reason, Reason::ping_disabled) << "drained besides";
  rules.vips[0].services[1].backends[0].down = false;
  EXPECT_EQ(answer().action, Action::reply) << "it keeps its flows";
  rules.vips[0].ping = Ping::always;
  EXPECT_EQ(answer().action, Action::reply);
}

TEST(Answer, Rfc9293_ASynToAPortNobodyServesIsReset) {
  World world(rules_with({{.name = "web"}}));
  const Outcome outcome = world.send(tcp(kClient, "203.0.113.10:81").syn().seq(7));
  EXPECT_EQ(outcome.verdict.reason, Reason::no_service);
  EXPECT_EQ(outcome.text(), "tcp 203.0.113.10:81 > 198.51.100.7:40000 RA seq 0 ack 8 win 0 length 0");
}

TEST(Answer, Rfc9293_AStraySegmentIsResetAtItsAcknowledgement) {
  World world(rules_with({{.name = "web"}}));
  const Outcome outcome = world.send(tcp(kClient, "203.0.113.10:80").seq(7).ack(99).payload("x"));
  EXPECT_EQ(outcome.verdict.reason, Reason::no_flow);
  EXPECT_EQ(outcome.text(), "tcp 203.0.113.10:80 > 198.51.100.7:40000 R seq 99 win 0 length 0");
}

TEST(Answer, Rfc9293_ARstIsNeverAnswered) {
  World world(rules_with({{.name = "web"}}));
  EXPECT_EQ(world.send(tcp(kClient, "203.0.113.10:81").rst().seq(7)).text(), "");
  EXPECT_EQ(world.send(tcp(kClient, "203.0.113.10:80").rst().seq(7)).text(), "");
}

TEST(Answer, UdpToAPortNobodyServesIsUnreachable) {
  World world(rules_with({{.name = "web"}}));
  const Outcome outcome = world.send(udp(kClient, "203.0.113.10:81").payload("hello"));
  EXPECT_EQ(outcome.verdict.reason, Reason::no_service);
  EXPECT_EQ(outcome.text(),
            "icmp 203.0.113.10 > 198.51.100.7 type 3 code 3 about protocol 17 198.51.100.7 > 203.0.113.10");
}

TEST(Answer, Rfc5508Req9_UnmatchedDropSaysNothing) {
  Rules rules = rules_with({{.name = "web"}});
  rules.vips[0].unmatched = Unmatched::drop;
  World world(rules);
  for (const auto& packet : {tcp(kClient, "203.0.113.10:81").syn(), udp(kClient, "203.0.113.10:81"),
                             tcp(kClient, "203.0.113.10:80").ack(5)}) {
    const Outcome outcome = world.send(packet);
    EXPECT_EQ(outcome.verdict.action, Action::drop);
    EXPECT_EQ(outcome.text(), "");
  }
}

TEST(Answer, ABackendWhoseFlowIsGoneIsReset) {
  World world(rules_with({{.name = "web"}}));
  const Outcome outcome = world.send(tcp("10.0.0.2:8080", "203.0.113.14:5000").seq(7).ack(99).payload("late"));
  EXPECT_EQ(outcome.verdict.reason, Reason::no_flow);
  EXPECT_EQ(outcome.text(), "tcp 203.0.113.14:5000 > 10.0.0.2:8080 R seq 99 win 0 length 0");
}

// RFC 5508 REQ-10, RFC 1812 §4.3.2.8.
TEST(Answer, Rfc5508Req10_AnswersAreRateLimited) {
  World world(rules_with({{.name = "web"}}));
  const auto knock = [&](int times) {
    int answered = 0;
    for (int i = 0; i < times; ++i) {
      answered += world.send(tcp(kClient, "203.0.113.10:81").syn()).verdict.action == Action::reply ? 1 : 0;
    }
    return answered;
  };
  EXPECT_EQ(knock(5000), 1000) << "the burst";
  EXPECT_EQ(world.counters().reasons[static_cast<std::size_t>(Reason::rate_limited)], 4000U);
  world.pass_time(std::chrono::milliseconds(100));
  EXPECT_EQ(knock(5000), 100);
}

TEST(Answer, Rfc1812_NoErrorAboutAnError) {
  World world(rules_with({{.name = "web"}}));
  const auto quoted = udp("203.0.113.10:9", kClient).build();
  const Outcome outcome = world.send(icmp_error("198.51.100.7", "203.0.113.10", 3, 3).quoting(quoted));
  EXPECT_EQ(outcome.verdict.reason, Reason::icmp_embedded);
  EXPECT_EQ(outcome.text(), "");
}

}  // namespace
}  // namespace vipgate::test
