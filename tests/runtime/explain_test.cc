#include "runtime/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "runtime/flow_storage.h"
#include "support/packet_builder.h"
#include "vipgate/inspect.h"

namespace vipgate {
namespace {

using testing::HasSubstr;
using testing::Not;

class ExplainTest : public testing::Test {
 protected:
  ExplainTest() {
    Backend backend;
    backend.name = "a";
    backend.address = *Ipv4Address::parse("10.0.0.2");
    backend.port = 8080;
    Service web;
    web.name = "web";
    web.protocols = {Protocol::tcp};
    web.ports = {{80, 80}, {8000, 8099}};
    web.deny = {*Ipv4Prefix::parse("192.0.2.0/24")};
    web.limits.flows = 1000;
    web.backends = {backend, backend};
    web.backends[1].name = "b";
    web.backends[1].address = *Ipv4Address::parse("10.0.0.3");
    Vip vip;
    vip.address = *Ipv4Address::parse("203.0.113.10");
    vip.services = {web};
    rules_.vips = {vip};
    rules_.subnets = {*Ipv4Prefix::parse("203.0.113.8/29")};
    rules_.masquerade = {*Ipv4Address::parse("203.0.113.14")};
  }

  Service& web() { return rules_.vips[0].services[0]; }

  /// All steps, "step: finding" a line.
  std::string explained(const std::string& packet) {
    if (!engine_) engine_.emplace(EngineOptions{.memory = storage_->memory()}, compile(rules_, 1));
    const Composed composed = compose(packet);
    EXPECT_EQ(composed.error, "");
    explanation_ = explain(*engine_, composed.bytes, 1500, Time{std::chrono::seconds(100)});
    std::string text;
    for (const ExplainedStep& step : explanation_.steps) absl::StrAppend(&text, step.step, ": ", step.finding, "\n");
    return text;
  }

  Rules rules_;
  absl::StatusOr<FlowStorage> storage_ = FlowStorage::allocate(std::size_t{kShards} * 16);
  std::optional<Engine> engine_;
  Explanation explanation_;
};

TEST_F(ExplainTest, ANewConnectionIsFollowedStepByStep) {
  const std::string text = explained("tcp 198.51.100.7:40000 > 203.0.113.10:8001");
  EXPECT_THAT(text,
              HasSubstr("packet: tcp 198.51.100.7:40000 > 203.0.113.10:8001 S seq 1 win 64240 length 0, 40 bytes\n"
                        "from: 198.51.100.7, of no rule\n"
                        "to: 203.0.113.10, a VIP\n"
                        "flow: none is known\n"
                        "service: web has tcp 8001\n"
                        "client: 198.51.100.7 is allowed by 0.0.0.0/0\n"
                        "backend: "));
  EXPECT_THAT(text, HasSubstr(", chosen by the hash of the client's address and port from a, b\n"));
  EXPECT_THAT(text, HasSubstr("limits: flows 1000"));
  EXPECT_THAT(text, HasSubstr("source: masquerade"));
  EXPECT_THAT(text, HasSubstr("addresses: 198.51.100.7:40000 > 203.0.113.10:8001 becomes 203.0.113.14:"));
  EXPECT_THAT(text, HasSubstr("sent on: tcp 203.0.113.14:"));
  EXPECT_THAT(text, testing::EndsWith("verdict: forward\n"));
  ASSERT_EQ(explanation_.out.size(), 1U);
}

TEST_F(ExplainTest, APacketOfAKnownFlowNamesIt) {
  explained("tcp 198.51.100.7:40000 > 203.0.113.10:80");
  const std::string back = describe(explanation_.out.at(0));
  EXPECT_THAT(explained("tcp 198.51.100.7:40000 > 203.0.113.10:80"),
              HasSubstr("flow: known, from who opened it: syn_sent, service web, backend "));
  EXPECT_THAT(explained("tcp 198.51.100.7:40000 > 203.0.113.10:80"), Not(HasSubstr("service: ")));
}

TEST_F(ExplainTest, APortThatNobodyServesNamesThoseThatAre) {
  const std::string text = explained("tcp 198.51.100.7:40000 > 203.0.113.10:81");
  EXPECT_THAT(text, HasSubstr("service: none has tcp 81; there is web at tcp 80,8000-8099\n"));
  EXPECT_THAT(text, HasSubstr("answer: tcp 203.0.113.10:81 > 198.51.100.7:40000 RA"));
  EXPECT_THAT(text, testing::EndsWith("verdict: reply, no_service: no service on this port of the VIP\n"));
}

TEST_F(ExplainTest, ADeniedClientNamesThePrefix) {
  const std::string text = explained("tcp 192.0.2.7:40000 > 203.0.113.10:80");
  EXPECT_THAT(text, HasSubstr("client: 192.0.2.7 is denied by 192.0.2.0/24\n"));
  EXPECT_THAT(text, Not(HasSubstr("backend: ")));
  web().allow = {*Ipv4Prefix::parse("10.0.0.0/8")};
  engine_.reset();
  EXPECT_THAT(explained("tcp 198.51.100.7:40001 > 203.0.113.10:80"), HasSubstr("is not in the list of those allowed"));
}

TEST_F(ExplainTest, ALimitThatIsReachedIsSaid) {
  web().limits.new_per_second = 1;
  EXPECT_THAT(explained("tcp 198.51.100.7:40000 > 203.0.113.10:80"),
              HasSubstr("limits: flows 1000, new_per_second 1 ("));
  const std::string text = explained("tcp 198.51.100.7:40001 > 203.0.113.10:80");
  EXPECT_THAT(text, HasSubstr("limits: flows 1000, new_per_second 1: reached\n"));
  EXPECT_THAT(text, HasSubstr("service_rate"));
}

TEST_F(ExplainTest, BackendsThatTakeNothingSayWhy) {
  web().backends[0].down = true;
  web().backends[1].drained = true;
  EXPECT_THAT(explained("tcp 198.51.100.7:40000 > 203.0.113.10:80"),
              HasSubstr("backend: none takes new flows: a (down), b (drained)\n"));
}

TEST_F(ExplainTest, EchoRequestsSegmentsOfNoFlowAndBrokenPackets) {
  EXPECT_THAT(explained("icmp 198.51.100.7 > 203.0.113.10"),
              HasSubstr("answer: icmp 203.0.113.10 > 198.51.100.7 echo reply"));
  EXPECT_THAT(explained("tcp 198.51.100.7:40000 > 203.0.113.10:80 A ack 7"),
              HasSubstr("service: web has tcp 80\nanswer: tcp 203.0.113.10:80 > 198.51.100.7:40000 R"));
  EXPECT_THAT(explained("udp 198.51.100.7:1 > 203.0.113.11:2"),
              HasSubstr("to: 203.0.113.11, of tun.subnet, and nobody's"));
  EXPECT_THAT(explained("tcp 10.0.0.2:8080 > 203.0.113.14:7 A"), HasSubstr("from: 10.0.0.2, a backend of web"));
  const std::vector<std::uint8_t> broken{0x45, 0};
  const Explanation explanation = explain(*engine_, broken, 1500, Time{});
  EXPECT_EQ(explanation.verdict.reason, Reason::ip_truncated);
  EXPECT_EQ(explanation.steps.size(), 2U);
}

}  // namespace
}  // namespace vipgate
