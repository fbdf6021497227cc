// How long connections last, and beyond what: who closed, reuse of their ports, pick-up, adoption by another process,
// timeouts.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>

#include "flow/segments.h"
#include "flow/tcp_tracker.h"

namespace vipgate {
namespace {

using enum TcpOutcome;
using std::chrono::seconds;

TEST(TcpLifetime, ClosedByReplyFirst) {
  EXPECT_FALSE(tcp_closed_by_reply_first(Traffic::established().track));
  EXPECT_FALSE(tcp_closed_by_reply_first(Traffic::time_wait().track));
  EXPECT_FALSE(tcp_closed_by_reply_first(Traffic::closed().track));

  Traffic t = Traffic::established();
  t.server("FA", 301, 101);
  EXPECT_TRUE(tcp_closed_by_reply_first(t.track));
  t.client("FA", 101, 302);
  t.server("A", 302, 102);
  EXPECT_EQ(t.state(), TcpState::time_wait);
  EXPECT_TRUE(tcp_closed_by_reply_first(t.track));

  t = Traffic::established();
  t.server("R", 301);
  EXPECT_TRUE(tcp_closed_by_reply_first(t.track));

  t = Traffic::syn_sent();
  t.server("RA", 0, 101);
  EXPECT_EQ(t.state(), TcpState::close);
  EXPECT_FALSE(tcp_closed_by_reply_first(t.track));  // who refuses holds no TIME-WAIT
}

TEST(TcpLifetime, Rfc6191_SynExceedsTheOldConnection) {
  Traffic t = Traffic::established({.timestamp = 1000});
  t.client("PA", 101, 301, 100, {.timestamp = 2000});
  t.server("FA", 301, 201, 0, {.timestamp = 999999});
  t.client("FA", 201, 302, 0, {.timestamp = 2001});
  t.client("A", 201, 301, 0, {.timestamp = 1500});  // reordered
  t.server("A", 302, 202);
  ASSERT_EQ(t.state(), TcpState::time_wait);
  EXPECT_TRUE(tcp_syn_exceeds(t.track, segment("S", 203, 0, 0, {.timestamp = 2002})));
  EXPECT_TRUE(tcp_syn_exceeds(t.track, segment("S", 202, 0, 0, {.timestamp = 2002}))) << "the timestamp decides";
  EXPECT_FALSE(tcp_syn_exceeds(t.track, segment("S", 203, 0, 0, {.timestamp = 2000})));
  EXPECT_TRUE(tcp_syn_exceeds(t.track, segment("S", 203, 0, 0, {.timestamp = 2001})));
  EXPECT_FALSE(tcp_syn_exceeds(t.track, segment("S", 202, 0, 0, {.timestamp = 2001})));
  EXPECT_TRUE(tcp_syn_exceeds(t.track, segment("S", 203)));
  EXPECT_FALSE(tcp_syn_exceeds(t.track, segment("S", 202)));

  const TcpTrack plain = Traffic::time_wait().track;
  EXPECT_TRUE(tcp_syn_exceeds(plain, segment("S", 103)));
  EXPECT_TRUE(tcp_syn_exceeds(plain, segment("S", 103, 0, 0, {.timestamp = 1})));
  EXPECT_FALSE(tcp_syn_exceeds(plain, segment("S", 102)));
}

TEST(TcpLifetime, PicksUpMidStream) {
  EXPECT_TRUE(tcp_may_pick_up(segment("PA", 1, 1, 1)));
  for (const char* flags : {"S", "SA", "FA", "R", "RA"}) EXPECT_FALSE(tcp_may_pick_up(segment(flags, 1, 1))) << flags;
  for (const Direction direction : {Direction::original, Direction::reply}) {
    Traffic t;
    t.track = tcp_pick_up(segment("PA", 5000, 9000, 100, {.window = 50}), direction);
    EXPECT_EQ(t.state(), TcpState::established);
    EXPECT_TRUE(tcp_is_liberal(t.track));
    EXPECT_TRUE(tcp_is_half_open(t.track));
    EXPECT_EQ(tcp_timeout(t.track, Timeouts{}), seconds(300));
    EXPECT_EQ(t.send(direction, segment("PA", 905000, 9000, 100, {.window = 50})), accept);
    EXPECT_EQ(t.send(opposite(direction), segment("A", 9000, 905100)), accept);
    EXPECT_FALSE(tcp_is_liberal(t.track));
    EXPECT_FALSE(tcp_is_half_open(t.track));
    EXPECT_EQ(tcp_timeout(t.track, Timeouts{}), seconds(7440));
    EXPECT_EQ(t.send(opposite(direction), segment("A", 2000000000, 905100, 1)), invalid);
  }
}

TEST(TcpLifetime, PickedUpAtARetransmissionTrustsLaterAcknowledgements) {
  Traffic t;
  t.track = tcp_pick_up(segment("A", 5000, 9000, 100), Direction::reply);  // the server has sent up to 20000 already
  EXPECT_EQ(t.client("A", 9000, 4900), accept);
  EXPECT_FALSE(tcp_is_liberal(t.track));
  EXPECT_EQ(t.client("A", 9000, 20000), accept);
  EXPECT_EQ(t.server("A", 20000, 9000, 100), accept);
}

TEST(TcpLifetime, PickedUpLivesAtMost300Seconds) {
  Timeouts timeouts;
  timeouts.picked_up = seconds(1000);
  const TcpTrack track = tcp_pick_up(segment("A", 5000, 9000), Direction::original);
  EXPECT_EQ(tcp_timeout(track, timeouts), seconds(300));
  timeouts.established = seconds(20);
  EXPECT_EQ(tcp_timeout(track, timeouts), seconds(20));
}

TEST(TcpLifetime, AdoptedIsLiberalUntilBothSidesWereHeard) {
  Traffic t = Traffic::established();
  tcp_make_liberal(t.track);
  EXPECT_TRUE(tcp_is_liberal(t.track));
  EXPECT_FALSE(tcp_is_half_open(t.track));
  EXPECT_EQ(tcp_timeout(t.track, Timeouts{}), seconds(7440));  // RFC 5382 REQ-5 holds for adopted ones too
  EXPECT_EQ(t.client("PA", 90101, 301, 100), accept);          // what came before it passed unseen
  EXPECT_TRUE(tcp_is_liberal(t.track));
  EXPECT_EQ(t.server("A", 301, 90201), accept);
  EXPECT_FALSE(tcp_is_liberal(t.track));
  EXPECT_EQ(t.client("PA", 190201, 301, 100), invalid);
}

TEST(TcpLifetime, AdoptedInAnyStateGoesOn) {
  Traffic t = Traffic::syn_sent();
  tcp_make_liberal(t.track);
  EXPECT_EQ(t.server("SA", 300, 999), invalid);
  EXPECT_EQ(t.server("SA", 300, 101), accept);
  tcp_make_liberal(t.track);
  EXPECT_EQ(t.client("A", 101, 301), accept);
  EXPECT_EQ(t.server("FA", 301, 101), accept);
  tcp_make_liberal(t.track);
  EXPECT_EQ(t.client("FA", 101, 302), accept);
  EXPECT_EQ(t.server("A", 302, 102), accept);
  EXPECT_EQ(t.state(), TcpState::time_wait);
  EXPECT_TRUE(tcp_closed_by_reply_first(t.track));
}

TEST(TcpLifetime, UnsoundRecordsAreRecognised) {
  TcpTrack track = Traffic::established().track;
  EXPECT_TRUE(tcp_is_sound(track));
  EXPECT_TRUE(tcp_is_sound(tcp_pick_up(segment("A", 1, 1, 0, {.window = 65535}), Direction::reply)));
  track.state = static_cast<TcpState>(200);
  EXPECT_FALSE(tcp_is_sound(track));
  track = Traffic::established().track;
  track.peers[1].scale = 15;
  EXPECT_FALSE(tcp_is_sound(track));
  track = Traffic::established().track;
  track.peers[0].max_window = 0xffffffff;
  EXPECT_FALSE(tcp_is_sound(track));
}

TEST(TcpLifetime, Rfc5382Req5_TimeoutsByState) {
  const Timeouts rfc;
  const Timeouts kernel = Timeouts::linux_profile();
  using enum TcpState;
  for (const TcpState state : {syn_sent, syn_sent2, syn_recv, fin_wait, close_wait, last_ack, time_wait, close}) {
    EXPECT_EQ(tcp_timeout(Traffic::in(state).track, rfc), seconds(240)) << name_of(state);
  }
  EXPECT_GE(tcp_timeout(Traffic::established().track, rfc), std::chrono::hours(2) + std::chrono::minutes(4));
  EXPECT_EQ(tcp_timeout(Traffic::syn_recv().track, kernel), seconds(60));
  EXPECT_EQ(tcp_timeout(Traffic::established().track, kernel), seconds(432000));
  EXPECT_EQ(tcp_timeout(Traffic::close_wait().track, kernel), seconds(60));
  EXPECT_EQ(tcp_timeout(Traffic::last_ack().track, kernel), seconds(30));
  EXPECT_EQ(tcp_timeout(Traffic::closed().track, kernel), seconds(10));
}

TEST(TcpLifetime, ReadsSegmentsFromTheWire) {
  const std::uint8_t bytes[] = {0x9c, 0x40, 0, 80, 0, 0, 0, 100, 0, 0, 1, 44, 0x70, 0x12, 0x20,
                                0,    0,    0, 0,  0, 3, 3, 7,   1, 4, 2, 1,  0,    'h',  'i'};
  const Parsed<TcpView> view = TcpView::parse(bytes);
  ASSERT_TRUE(view);
  const TcpSegment read = TcpSegment::of(*view);
  EXPECT_EQ(read.sequence, 100U);
  EXPECT_EQ(read.acknowledgement, 300U);
  EXPECT_EQ(read.window, 0x2000);
  EXPECT_EQ(read.payload_length, 2U);
  EXPECT_EQ(read.end(), 103U);
  EXPECT_EQ(read.options.window_scale, 7);
  EXPECT_TRUE(read.options.sack_permitted);
}

}  // namespace
}  // namespace vipgate
