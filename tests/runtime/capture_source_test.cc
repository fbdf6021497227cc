#include "runtime/capture/capture_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <thread>

#include "runtime/capture/captures.h"
#include "runtime/capture_packets.h"
#include "runtime/clock.h"

namespace vipgate {
namespace {

using test::udp;
using test::WirePacket;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::StartsWith;

class CaptureSourceTest : public testing::Test {
 protected:
  CaptureSourceTest()
      : captures_(context_, {.tap =
                                 [this](const TapSet& taps) {
                                   for (const auto& tap : taps) tap->set_open();
                                   taps_ = taps;
                                 },
                             .untap =
                                 [this](const TapSet& taps) {
                                   ++ended_;
                                   for (const auto& tap : taps) {
                                     if (!is_busy_) tap->set_closed();
                                   }
                                 }}) {}

  std::shared_ptr<ByteSource> start(CaptureQuery query, std::size_t workers = 2) {
    auto source = captures_.start(std::move(query), "tun0", workers);
    EXPECT_TRUE(source.ok()) << source.status();
    open(**source);
    return *std::move(source);
  }

  /// A worker sees a packet.
  void see(std::size_t worker, std::uint16_t port, Time time = boot_time_now()) {
    WirePacket packet = udp("198.51.100.7:" + std::to_string(port), "203.0.113.10:53").build();
    taps_[worker]->own(packet.packet(), time);
  }

  void open(ByteSource& source) {
    bool is_open = false;
    source.open([&] { is_open = true; });
    while (!is_open) {
      context_.run_one();
      context_.restart();
    }
  }

  std::string read(ByteSource& source) {
    std::optional<std::string> piece;
    source.read([&](std::string bytes) { piece = std::move(bytes); });
    while (!piece) {
      context_.run_one();
      context_.restart();
    }
    return *piece;
  }
  std::string read_all(ByteSource& source) {
    std::string all;
    for (;;) {
      const std::string piece = read(source);
      if (piece.empty()) return all;
      all += piece;
    }
  }

  boost::asio::io_context context_{1};
  TapSet taps_;
  int ended_ = 0;
  bool is_busy_ = false;  ///< a worker that lets go of nothing as yet
  Captures captures_;
};

CaptureQuery text(std::optional<std::uint64_t> packets = std::nullopt) {
  CaptureQuery query;
  query.format = CaptureFormat::text;
  query.packets = packets;
  return query;
}

TEST_F(CaptureSourceTest, PacketsOfAllWorkersByTime) {
  const auto source = start(text(3));
  const Time now = boot_time_now();
  see(0, 1, now);
  see(0, 3, now + std::chrono::milliseconds(2));
  see(1, 2, now + std::chrono::milliseconds(1));
  const std::string all = read_all(*source);
  EXPECT_LT(all.find("198.51.100.7:1 "), all.find("198.51.100.7:2 "));
  EXPECT_LT(all.find("198.51.100.7:2 "), all.find("198.51.100.7:3 "));
  EXPECT_THAT(all, HasSubstr("=> udp 198.51.100.7:1 > 203.0.113.10:53 length 0  sent by the gateway itself\n"));
  EXPECT_EQ(ended_, 1);
  EXPECT_THAT(source->summary(), ElementsAre(Pair("Captured", "3"), Pair("Lost", "0")));
}

TEST_F(CaptureSourceTest, StopGivesWhatIsThereAndNothingLater) {
  const auto source = start({});
  EXPECT_THAT(read(*source), StartsWith("\x0a\x0d\x0d\x0a")) << "the file's head comes at once";
  see(0, 1);
  source->stop();
  EXPECT_EQ(ended_, 1);
  see(1, 2, boot_time_now() + std::chrono::seconds(1));
  read_all(*source);
  EXPECT_THAT(source->summary(), ElementsAre(Pair("Captured", "1"), Pair("Lost", "0")));
}

TEST_F(CaptureSourceTest, WhatAWorkerHasInHandAtTheEndIsWaitedFor) {
  is_busy_ = true;
  const auto source = start({}, 1);
  read(*source);
  const Time before = boot_time_now();
  source->stop();
  std::optional<std::string> piece;
  source->read([&](std::string bytes) { piece = std::move(bytes); });
  context_.run_for(std::chrono::milliseconds(30));
  context_.restart();
  EXPECT_FALSE(piece.has_value());
  see(0, 1, before);
  taps_[0]->set_closed();
  while (!piece) context_.run_one();
  context_.restart();
  read_all(*source);
  EXPECT_THAT(source->summary(), ElementsAre(Pair("Captured", "1"), Pair("Lost", "0")));
}

TEST_F(CaptureSourceTest, EndsInTimeThoughNobodyReads) {
  CaptureQuery query;
  query.duration = std::chrono::milliseconds(20);
  const auto source = start(query);
  read(*source);
  while (ended_ == 0) context_.run_one();
  context_.restart();
  EXPECT_FALSE(read(*source).empty()) << "the statistics";
  EXPECT_TRUE(read(*source).empty());
}

TEST_F(CaptureSourceTest, WhatIsLostIsCounted) {
  const auto source = start({}, 1);
  WirePacket packet = udp("198.51.100.7:1", "203.0.113.10:53").payload_of(60000).build();
  for (int i = 0; i < 2000; ++i) taps_[0]->own(packet.packet(), boot_time_now());
  source->stop();
  read_all(*source);
  const auto summary = source->summary();
  EXPECT_GT(std::stoi(summary[0].second), 100);
  EXPECT_EQ(std::stoi(summary[0].second) + std::stoi(summary[1].second), 2000);
}

TEST_F(CaptureSourceTest, AStuckWorkerHoldsItUpNotForLong) {
  Captures stuck(context_, {.tap = [](const TapSet&) {}, .untap = [](const TapSet&) {}});
  const auto source = stuck.start({}, "tun0", 1);
  ASSERT_TRUE(source.ok());
  open(**source);
  read(**source);
  (*source)->stop();
  read_all(**source);
}

TEST_F(CaptureSourceTest, OnlySoManyAtATime) {
  std::vector<std::shared_ptr<ByteSource>> sources;
  for (std::size_t i = 0; i < kMaxCaptures; ++i) sources.push_back(start({}));
  EXPECT_TRUE(absl::IsUnavailable(captures_.start({}, "tun0", 1).status()));
  sources.back()->stop();
  EXPECT_TRUE(captures_.start({}, "tun0", 1).ok());
}

TEST_F(CaptureSourceTest, TheEndWaitsForReaders) {
  auto source = start({});
  read(*source);
  bool done = false;
  captures_.end_all([&] { done = true; });
  EXPECT_FALSE(done);
  read_all(*source);
  source.reset();
  while (!done) context_.run_one();
}

TEST_F(CaptureSourceTest, WithoutReadersTheEndComesAtOnce) {
  start({}).reset();
  EXPECT_EQ(ended_, 1);
  bool done = false;
  captures_.end_all([&] { done = true; });
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace vipgate
