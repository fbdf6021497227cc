#include "runtime/capture/capture_tap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "runtime/capture_packets.h"
#include "runtime/collector.h"
#include "runtime/flow_storage.h"
#include "support/fragments.h"

namespace vipgate {
namespace {

using test::echo_request;
using test::tcp;
using test::udp;
using test::WirePacket;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr Time kNow{std::chrono::seconds(1000)};
constexpr const char* kClient = "198.51.100.7:40000";
constexpr const char* kWeb = "203.0.113.10:80";
constexpr std::size_t kRoom = std::size_t{1} << 20;

/// An engine with taps around it, as a worker has them.
class CaptureTapTest : public testing::Test {
 protected:
  std::shared_ptr<CaptureTap> tap(CaptureFilter filter = {}, std::size_t snaplen = kMaxPacketSize,
                                  std::size_t room = kRoom) {
    auto made = std::make_shared<CaptureTap>(std::move(filter), snaplen, room);
    taps_.add(made);
    return made;
  }

  /// Puts packets through the engine as one batch.
  void process(std::vector<WirePacket> batch, bool handed_over = false) {
    std::vector<Packet> packets;
    for (WirePacket& packet : batch) packets.push_back(packet.packet());
    std::vector<Verdict> verdicts(packets.size());
    Collector collector(answers_);
    if (taps_.any()) taps_.before(engine_, packets, handed_over, kNow);
    engine_.process(packets, verdicts, kNow, taps_.over(collector));
    if (taps_.any()) taps_.after(packets, verdicts, engine_.ruleset());
  }

  /// "in > out: verdict service/backend" of all that a tap has.
  static std::vector<std::string> seen_by(CaptureTap& tap) {
    std::vector<std::string> lines;
    while (tap.ring().front() != nullptr) {
      const CaptureRecord& record = tap.ring().take();
      const CaptureHeader& header = record.header;
      EXPECT_EQ(header.in.captured, record.in.size());
      EXPECT_EQ(header.out.captured, record.out.size());
      EXPECT_EQ(header.time, kNow);
      std::string line = header.in.is_there() ? describe(record.in) : "-";
      line += " => " + (header.out.is_there() ? describe(record.out) : "-");
      line += ": " + std::string(header.own ? "own" : name_of(header.verdict.action));
      if (header.verdict.reason != Reason::none) line += " " + std::string(name_of(header.verdict.reason));
      lines.push_back(line + " " + record.service + "/" + record.backend);
    }
    return lines;
  }

  FlowStorage storage_ = *FlowStorage::allocate(1024);
  Engine engine_{{.worker = 0, .workers = 1, .seed = 1, .memory = storage_.memory()},
                 compile(test::captured_rules(), 1)};
  CaptureTaps taps_;
  std::vector<std::vector<std::uint8_t>> answers_;
};

TEST_F(CaptureTapTest, BothSidesOfAPacket) {
  const auto all = tap();
  EXPECT_TRUE(all->is_open());
  process({tcp(kClient, kWeb).syn().seq(7).build()});
  const auto seen = seen_by(*all);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_THAT(seen[0], testing::StartsWith("tcp 198.51.100.7:40000 > 203.0.113.10:80 S seq 7 "));
  EXPECT_THAT(seen[0], HasSubstr("=> tcp 203.0.113.14:"));
  EXPECT_THAT(seen[0], HasSubstr("> 10.0.0.2:8080 S seq 7 win 64240 length 0: forward web/a"));
}

TEST_F(CaptureTapTest, AnswersBelongToWhatTheyAnswer) {
  const auto all = tap();
  process({tcp(kClient, "203.0.113.10:81").syn().build(), udp(kClient, "203.0.113.10:53").build(),
           echo_request("198.51.100.7", "203.0.113.10", 9).payload_of(40).build(),
           tcp("192.0.2.1:1", kWeb).syn().build(), tcp(kClient, "203.0.113.10:82").syn().build()});
  const auto seen = seen_by(*all);
  ASSERT_EQ(seen.size(), 5U);
  EXPECT_THAT(seen[0], HasSubstr(":81 S"));
  EXPECT_THAT(seen[0], HasSubstr("=> tcp 203.0.113.10:81 > 198.51.100.7:40000 RA"));
  EXPECT_THAT(seen[0], HasSubstr(": reply no_service /"));
  EXPECT_THAT(seen[1], HasSubstr("> 10.0.0.2:8053 length 0: forward dns/b"));
  EXPECT_THAT(seen[2], HasSubstr("echo request id 9 seq 0 length 40 => icmp 203.0.113.10 > 198.51.100.7 echo reply"));
  EXPECT_THAT(seen[3], HasSubstr("denied web/")) << "which service it was for, though it got no flow";
  EXPECT_THAT(seen[4], HasSubstr("=> tcp 203.0.113.10:82 > 198.51.100.7:40000 RA"));
  EXPECT_GE(answers_.size(), 3U) << "and they are sent";
}

TEST_F(CaptureTapTest, EachCaptureHasItsFilter) {
  const auto dns = tap({.service = "dns"});
  const auto refused = tap({.reason = Reason::no_service});
  const auto backend = tap({.port = 8080});
  process({tcp(kClient, "203.0.113.10:81").syn().build(), udp(kClient, "203.0.113.10:53").build(),
           tcp(kClient, kWeb).syn().build()});
  EXPECT_THAT(seen_by(*dns), ElementsAre(HasSubstr("forward dns/b")));
  EXPECT_THAT(seen_by(*refused), ElementsAre(HasSubstr("reply no_service")));
  EXPECT_THAT(seen_by(*backend), ElementsAre(HasSubstr("forward web/a")));
  taps_.remove(dns.get());
  taps_.remove(refused.get());
  taps_.remove(backend.get());
  EXPECT_FALSE(taps_.any());
  process({udp(kClient, "203.0.113.10:53").build()});
  EXPECT_TRUE(seen_by(*dns).empty());
}

TEST_F(CaptureTapTest, OnlySoManyBytesAreKept) {
  const auto heads = tap({}, 40);
  const WirePacket sent = udp(kClient, "203.0.113.10:53").payload_of(1000).build();
  process({sent});
  const CaptureRecord* record = heads->ring().front();
  ASSERT_NE(record, nullptr);
  EXPECT_TRUE(std::ranges::equal(record->in, sent.bytes().first(40)));
  EXPECT_EQ(record->header.in.original, 1028U);
  EXPECT_EQ(record->out.size(), 40U);
  EXPECT_EQ(record->header.out.original, 1028U);
}

TEST_F(CaptureTapTest, WhatDoesNotFitIsCountedAndSent) {
  const auto small = tap({}, kMaxPacketSize, 2000);
  for (int i = 0; i < 3; ++i) process({echo_request("198.51.100.7", "203.0.113.10", 9).payload_of(700).build()});
  EXPECT_EQ(seen_by(*small).size(), 1U);
  EXPECT_EQ(small->lost().packets, 2U);
  EXPECT_EQ(small->lost().in, 2U);
  EXPECT_EQ(small->lost().out, 2U);
  EXPECT_EQ(answers_.size(), 3U);
}

TEST_F(CaptureTapTest, LargestPacketsAndAnswersHaveRoom) {
  const auto all = tap({}, kMaxPacketSize, std::size_t{8} << 20);
  const std::vector<WirePacket> batch(Engine::kMaxBatch,
                                      echo_request("198.51.100.7", "203.0.113.10", 9).payload_of(65000).build());
  process(batch);
  EXPECT_EQ(seen_by(*all).size(), Engine::kMaxBatch);
}

TEST_F(CaptureTapTest, FragmentsAreTheInSideAndTheirDatagramTheOutSide) {
  const auto all = tap();
  process(test::fragments_of(udp(kClient, "203.0.113.10:53").payload_of(1000).build(), 620));
  ASSERT_NE(all->ring().front(), nullptr);
  EXPECT_EQ(all->ring().take().header.verdict.action, Action::hold);
  ASSERT_NE(all->ring().front(), nullptr);
  const CaptureRecord& whole = all->ring().take();
  EXPECT_THAT(describe(whole.in), HasSubstr("fragment 198.51.100.7 > 203.0.113.10"));
  EXPECT_THAT(describe(whole.out), HasSubstr("> 10.0.0.2:8053 length 1000"));
  EXPECT_EQ(whole.header.out.fragment_size, 620);
}

TEST_F(CaptureTapTest, AnswersInFragmentsFollowWhatTheyAnswer) {
  const auto all = tap();
  process(test::fragments_of(echo_request("198.51.100.7", "203.0.113.10", 9).payload_of(2000).build(), 820));
  const auto seen = seen_by(*all);
  ASSERT_EQ(seen.size(), 5U);
  for (const std::size_t i : {0U, 1U}) EXPECT_THAT(seen[i], HasSubstr("=> -: hold"));
  EXPECT_THAT(seen[2], HasSubstr("=> fragment 203.0.113.10 > 198.51.100.7 protocol 1 id 4660 offset 0 "));
  EXPECT_THAT(seen[2], HasSubstr(": reply"));
  for (const std::size_t i : {3U, 4U}) EXPECT_THAT(seen[i], testing::MatchesRegex("- => fragment 203.*: reply .*"));
}

TEST_F(CaptureTapTest, NoMoreThanThereMayBe) {
  for (std::size_t i = 0; i < kMaxCaptures; ++i) EXPECT_TRUE(tap()->is_open());
  EXPECT_FALSE(tap()->is_open());
}

/// Packets of other workers' flows are seen where they are decided about, once.
TEST(CaptureTaps, WhatIsHandedOnIsSeenByTheOwner) {
  FlowStorage storage = *FlowStorage::allocate(1024);
  const auto rules = compile(test::captured_rules(), 1);
  Engine first({.worker = 0, .workers = 2, .seed = 1, .memory = storage.memory()}, rules);
  Engine second({.worker = 1, .workers = 2, .seed = 1, .memory = storage.memory()}, rules);
  const auto tap = std::make_shared<CaptureTap>(CaptureFilter(), kMaxPacketSize, kRoom);
  CaptureTaps taps;
  taps.add(tap);
  std::vector<std::vector<std::uint8_t>> sent;
  Collector collector(sent);
  for (int i = 0; i < 64; ++i) {
    WirePacket syn = tcp("198.51.100.7:" + std::to_string(1024 + i), kWeb).syn().build();
    for (Engine* engine : {&first, &second}) {
      Packet packet = syn.packet();
      Verdict verdict;
      taps.before(*engine, {&packet, 1}, engine == &second, kNow);
      engine->process({&packet, 1}, {&verdict, 1}, kNow, taps.over(collector));
      taps.after({&packet, 1}, {&verdict, 1}, *rules);
      if (verdict.action != Action::hand_off) break;
    }
  }
  int count = 0;
  for (; tap->ring().front() != nullptr; ++count) EXPECT_EQ(tap->ring().take().header.verdict.action, Action::forward);
  EXPECT_EQ(count, 64);
}

}  // namespace
}  // namespace vipgate
