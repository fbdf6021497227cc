// Which segments belong to a connection: the four equations, window scaling, SACK, RSTs, forgeries.

#include <gtest/gtest.h>

#include <cstdint>

#include "flow/segments.h"
#include "flow/tcp_tracker.h"

namespace vipgate {
namespace {

using enum TcpOutcome;

// Both sides of these connections offer 10000 bytes: the client may send up to 10101, the server up to 10301.

TEST(TcpWindow, EquationI_NoDataBeyondTheReceiversRoom) {
  Traffic t = Traffic::established();
  EXPECT_EQ(t.client("PA", 10101, 301, 1000), accept);  // meets the edge
  t = Traffic::established();
  EXPECT_EQ(t.client("A", 10102, 301), ignore);  // a small overshoot
  EXPECT_EQ(t.client("A", 20100, 301), ignore);  // by less than a window
  EXPECT_EQ(t.client("A", 20101, 301), invalid);
  EXPECT_EQ(t.last.reason, Reason::tcp_window);
  EXPECT_EQ(t.client("A", 1000000000, 301), invalid);
  EXPECT_EQ(t.client("A", 2000000000, 301), invalid);
}

TEST(TcpWindow, EquationI_AnOvershootMustFitOtherwise) {
  Traffic t = Traffic::established();
  for (std::uint32_t sent = 0; sent < 100000; sent += 5000) {
    t.server("PA", 301 + sent, 101, 5000);
    t.client("A", 101, 301 + sent + 5000);
  }
  EXPECT_EQ(t.client("A", 10102, 100301 - 66001), invalid);
  EXPECT_EQ(t.client("A", 10102, 100302), invalid);
  EXPECT_EQ(t.client("A", 10102, 100301 - 66000), ignore);
}

TEST(TcpWindow, DataBeyondTheKnownEdgeWidensTheWindowOnce) {
  Traffic t = Traffic::established();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(t.client("PA", 10101, 301, 2000), accept);
  EXPECT_EQ(t.track.peer(Direction::reply).max_window, 12000U);
}

TEST(TcpWindow, EquationI_OvershootMayBeAcknowledged) {
  Traffic t = Traffic::established();
  EXPECT_EQ(t.client("PA", 10102, 301, 500), ignore);
  EXPECT_EQ(t.server("A", 301, 10602), accept);
  EXPECT_EQ(t.client("PA", 10602, 301, 500), accept);
}

TEST(TcpWindow, EquationI_FinBeyondTheWindowClosesNothing) {
  Traffic t = Traffic::established();
  EXPECT_EQ(t.client("FA", 10200, 301), ignore);
  EXPECT_EQ(t.state(), TcpState::established);
}

TEST(TcpWindow, EquationII_OldDataPassesAndChangesNothing) {
  Traffic t = Traffic::established();
  for (std::uint32_t sent = 0; sent < 50000; sent += 5000) {
    t.client("PA", 101 + sent, 301, 5000);
    t.server("A", 301, 101 + sent + 5000);
  }
  EXPECT_EQ(t.client("PA", 50101 - 10100, 301, 100), accept);  // ends at 40101 = 50101 - 10000
  const TcpTrack before = t.track;
  EXPECT_EQ(t.client("PA", 50101 - 10101, 301, 100), ignore);
  EXPECT_EQ(t.client("PA", 101, 301, 5000), ignore);
  EXPECT_EQ(t.client("FA", 101, 301), ignore);
  EXPECT_EQ(t.track, before);
}

TEST(TcpWindow, EquationIII_NoAcknowledgementOfDataNeverSent) {
  Traffic t = Traffic::established();
  EXPECT_EQ(t.server("A", 301, 102), invalid);
  EXPECT_EQ(t.last.reason, Reason::tcp_window);
  EXPECT_EQ(t.client("PA", 101, 301, 1), accept);
  EXPECT_EQ(t.server("A", 301, 102), accept);
  EXPECT_EQ(t.client("A", 102, 302), invalid);
}

TEST(TcpWindow, EquationIV_LateAcksPassAndChangeNothing) {
  Traffic t = Traffic::established();
  for (std::uint32_t sent = 0; sent < 100000; sent += 5000) {
    t.client("PA", 101 + sent, 301, 5000);
    t.server("A", 301, 101 + sent + 5000);
  }
  EXPECT_EQ(t.server("A", 301, 100101 - 66000), accept);
  const TcpTrack before = t.track;
  EXPECT_EQ(t.server("A", 301, 100101 - 66001), ignore);
  EXPECT_EQ(t.server("FA", 301, 100101 - 66001), ignore);
  EXPECT_EQ(t.track, before);
}

TEST(TcpWindow, EquationIV_AWindowAbove66000ReachesFurtherBack) {
  Traffic t = Traffic::established({.window = 65535, .scale = 7}, {.window = 65535, .scale = 7});
  EXPECT_EQ(t.server("A", 301, 101, 0, {.window = 10000}), accept);  // 1280000
  for (std::uint32_t sent = 0; sent < 2000000; sent += 50000) {
    t.client("PA", 101 + sent, 301, 50000);
    t.server("A", 301, 101 + sent + 50000);
  }
  EXPECT_EQ(t.server("A", 301, 2000101 - 1280000), accept);
  EXPECT_EQ(t.server("A", 301, 2000101 - 1280001), ignore);
}

TEST(TcpWindow, Rfc7323_WindowsAreScaledIfBothSidesOfferIt) {
  Traffic t = Traffic::established({.scale = 7}, {.scale = 3});
  EXPECT_EQ(t.server("A", 301, 101, 0, {.window = 10000}), accept);
  EXPECT_EQ(t.client("PA", 101 + 80000, 301, 1), accept);  // 10000 << 3
  EXPECT_EQ(t.client("PA", 102 + 80000, 301, 1), ignore);  // a little beyond
  EXPECT_EQ(t.server("A", 301 + 1280000, 80102), accept);  // 10000 << 7, of the client's last ACK
}

TEST(TcpWindow, Rfc7323_WindowsAreNotScaledIfOneSideDoesNotOfferIt) {
  for (const bool client_offers : {false, true}) {
    Traffic t = client_offers ? Traffic::established({.scale = 7}, {}) : Traffic::established({}, {.scale = 7});
    EXPECT_EQ(t.server("A", 301, 101, 0, {.window = 10000}), accept);
    EXPECT_EQ(t.client("A", 101 + 80000, 301), invalid);
    EXPECT_EQ(t.client("A", 101 + 10000, 301), accept);
    EXPECT_EQ(t.server("A", 301 + 80000, 101), invalid);
    EXPECT_EQ(t.server("A", 301 + 10000, 101), accept);
  }
}

TEST(TcpWindow, Rfc7323_TheWindowOfASynIsNotScaled) {
  Traffic t = Traffic::syn_recv({.window = 1000, .scale = 7}, {.window = 1000, .scale = 7});
  EXPECT_EQ(t.client("A", 101 + 2001, 301, 0, {.window = 1000}), invalid);
  EXPECT_EQ(t.server("A", 301 + 2001, 101, 0, {.window = 1000}), invalid);
  EXPECT_EQ(t.server("A", 301 + 1000, 101, 0, {.window = 1000}), accept);
}

TEST(TcpWindow, Rfc7323_ScaleIsCappedAt14) {
  const std::uint8_t bytes[] = {0,    1,    0,    80,   0, 0, 0, 100, 0, 0, 0,   0,
                                0x60, 0x02, 0xff, 0xff, 0, 0, 0, 0,   3, 3, 255, 1};
  const Parsed<TcpView> view = TcpView::parse(bytes);
  ASSERT_TRUE(view);
  const TcpTrack track = tcp_open(TcpSegment::of(*view));
  EXPECT_EQ(track.peer(Direction::original).scale, 14);
  EXPECT_TRUE(tcp_is_sound(track));
}

TEST(TcpWindow, Rfc7323_TheLargestWindowIsOneGibibyte) {
  Traffic t = Traffic::established({.scale = 14}, {.scale = 14});
  EXPECT_EQ(t.server("A", 301, 101, 0, {.window = 65535}), accept);
  const std::uint32_t edge = 101 + (65535U << 14);
  EXPECT_EQ(t.client("PA", edge, 301, 65495, {.window = 65535}), accept);
  EXPECT_EQ(t.server("A", 301, edge + 65495, 0, {.window = 65535}), accept);
  EXPECT_TRUE(tcp_is_sound(t.track));
  EXPECT_EQ(t.client("A", edge + 65495 + (65535U << 14) + (1U << 30), 301), invalid);
}

TEST(TcpWindow, Rfc2018_TheHighestSackEdgeCounts) {
  Traffic t = Traffic::established({.sack_permitted = true}, {.sack_permitted = true});
  EXPECT_EQ(t.client("PA", 1101, 301, 1000), accept);  // 101 to 1100 were lost before us
  EXPECT_EQ(t.server("A", 301, 101, 0, {.sack = 2102}), invalid);
  EXPECT_EQ(t.server("A", 301, 101, 0, {.sack = 2101}), accept);
  EXPECT_EQ(t.track.peer(Direction::reply).max_window, 12000U);  // it reaches beyond the SACK
  EXPECT_EQ(t.client("PA", 12101, 301, 100), accept);
  EXPECT_EQ(t.server("A", 301, 101, 0, {.sack = 50}), accept);  // a D-SACK lies below (RFC 2883)
}

TEST(TcpWindow, Rfc2018_SackWithoutPermissionIsNotRead) {
  Traffic t = Traffic::established();
  EXPECT_EQ(t.server("A", 301, 101, 0, {.sack = 4000000}), accept);
  EXPECT_EQ(t.client("PA", 30000, 301, 1), invalid);
}

TEST(TcpWindow, ZeroWindowAdmitsProbes) {
  Traffic t = Traffic::established({.window = 1000}, {.window = 1000});
  EXPECT_EQ(t.client("PA", 101, 301, 1000), accept);
  EXPECT_EQ(t.server("A", 301, 1101, 0, {.window = 0}), accept);
  const TcpPeer server = t.track.peer(Direction::reply);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(t.client("A", 1101, 301, 1), accept);  // RFC 9293 §3.8.6.1
    EXPECT_EQ(t.client("A", 1100, 301), accept);     // as Linux probes
    EXPECT_EQ(t.server("A", 301, 1101, 0, {.window = 0}), accept);
  }
  EXPECT_LE(t.track.peer(Direction::reply).max_window, server.max_window + 1);  // probes add up to nothing
  EXPECT_EQ(t.server("A", 301, 1101, 0, {.window = 5000}), accept);
  EXPECT_EQ(t.client("PA", 1101, 301, 5000), accept);
}

TEST(TcpWindow, ZeroWindowInBothSyns) {
  Traffic t = Traffic::established({.window = 0}, {.window = 0});
  EXPECT_EQ(t.server("A", 301, 101, 0, {.window = 100}), accept);
  EXPECT_EQ(t.client("PA", 101, 301, 100), accept);
}

TEST(TcpWindow, Rfc1122_KeepAlives) {
  Traffic t = Traffic::established();
  EXPECT_EQ(t.client("A", 100, 301), accept);
  EXPECT_TRUE(t.last.refresh);
  EXPECT_EQ(t.client("A", 100, 301, 1), accept);  // §4.2.3.6: with a byte of garbage
  EXPECT_EQ(t.server("A", 301, 101), accept);
  EXPECT_TRUE(t.last.refresh);
}

TEST(TcpWindow, RetransmittedAcksPass) {
  Traffic t = Traffic::established();
  EXPECT_EQ(t.client("PA", 101, 301, 1000), accept);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(t.server("A", 301, 101), accept);
    EXPECT_EQ(t.client("PA", 101, 301, 1000), accept);
    EXPECT_TRUE(t.last.refresh);
  }
}

TEST(TcpWindow, SuperPacketsAreOneSegment) {
  Traffic t = Traffic::established({.window = 65535, .scale = 10}, {.window = 65535, .scale = 10});
  EXPECT_EQ(t.server("A", 301, 101, 0, {.window = 1000}), accept);
  for (std::uint32_t i = 0; i < 100; ++i) {
    EXPECT_EQ(t.client("PA", 101 + i * 65495, 301, 65495), accept);
    EXPECT_EQ(t.server("A", 301, 101 + i * 65495 + 65495, 0, {.window = 1000}), accept);
  }
}

TEST(TcpWindow, SequenceNumbersWrap) {
  for (std::uint32_t below = 0; below < 12000; below += 7) {
    Traffic t;
    const std::uint32_t c = 0U - below;
    const std::uint32_t s = 0x80000000U - below;
    ASSERT_EQ(t.client("S", c - 1), accept);
    ASSERT_EQ(t.server("SA", s - 1, c), accept);
    ASSERT_EQ(t.client("A", c, s), accept);
    ASSERT_EQ(t.client("PA", c, s, 5000), accept);
    ASSERT_EQ(t.server("A", s, c + 5000, 5000), accept);
    ASSERT_EQ(t.client("PA", c + 5000, s + 5000, 5000), accept);
    ASSERT_EQ(t.server("A", s + 5000, c + 10001), invalid);
    ASSERT_EQ(t.client("R", c + 9999, s + 5000), accept);
    ASSERT_EQ(t.state(), TcpState::established);
    ASSERT_EQ(t.server("FA", s + 5000, c + 10000), accept);
    ASSERT_EQ(t.client("FA", c + 10000, s + 5001), accept);
    ASSERT_EQ(t.server("A", s + 5001, c + 10001), accept);
    ASSERT_EQ(t.state(), TcpState::time_wait);
  }
}

// RSTs. The client has 101 to 1100 in flight, of which the server acknowledged up to 600.
Traffic in_flight() {
  Traffic t = Traffic::established();
  t.client("PA", 101, 301, 500);
  t.server("A", 301, 601);
  t.client("PA", 601, 301, 500);
  return t;
}

TEST(TcpReset, Rfc5961_Fault19_OnlyAnExactRstCloses) {
  struct Case {
    std::uint32_t sequence;
    TcpOutcome outcome;
    TcpState state;
  };
  constexpr auto kStays = TcpState::established;
  for (const Case& c : {Case{0, invalid, kStays}, Case{600, invalid, kStays}, Case{601, accept, TcpState::close},
                        Case{602, accept, kStays}, Case{1100, accept, kStays}, Case{1101, accept, TcpState::close},
                        Case{1102, accept, kStays}, Case{10601, accept, kStays}, Case{10602, invalid, kStays},
                        Case{4000000000, invalid, kStays}}) {
    for (const char* flags : {"R", "RA"}) {
      SCOPED_TRACE(c.sequence);
      Traffic t = in_flight();
      const TcpTrack before = t.track;
      EXPECT_EQ(t.client(flags, c.sequence, 301), c.outcome);
      EXPECT_EQ(t.state(), c.state);
      if (c.outcome == invalid) {
        EXPECT_EQ(t.last.reason, Reason::tcp_reset);
      }
      if (c.state == kStays) {
        EXPECT_EQ(t.track, before);
      }
      EXPECT_EQ(t.last.refresh, c.state == TcpState::close);
    }
  }
}

TEST(TcpReset, ALateAckDoesNotMakeAnOldRstExact) {
  Traffic t = in_flight();
  EXPECT_EQ(t.server("A", 301, 101), accept);
  EXPECT_EQ(t.client("R", 101), invalid);
  EXPECT_EQ(t.state(), TcpState::established);
}

TEST(TcpReset, Rfc5961_Fault19_ChallengeAckPassesAndTheExactRstFollows) {
  Traffic t = in_flight();
  EXPECT_EQ(t.client("R", 900), accept);
  EXPECT_EQ(t.server("A", 301, 601), accept);  // the challenge
  EXPECT_EQ(t.state(), TcpState::established);
  EXPECT_EQ(t.client("R", 601), accept);
  EXPECT_EQ(t.state(), TcpState::close);
  EXPECT_TRUE(t.last.refresh);
  EXPECT_EQ(t.client("R", 601), accept);
  EXPECT_FALSE(t.last.refresh);  // RFC 7857 §2.2: nobody is kept alive by RSTs
}

TEST(TcpReset, Rfc5961_HalfClosedConnectionsAreNoEasierToReset) {
  for (const TcpState state : {TcpState::fin_wait, TcpState::close_wait, TcpState::last_ack, TcpState::time_wait}) {
    SCOPED_TRACE(name_of(state));
    const std::uint32_t next = state == TcpState::last_ack || state == TcpState::time_wait ? 302 : 301;
    Traffic t = Traffic::in(state);
    EXPECT_EQ(t.server("R", next + 500), accept);
    EXPECT_EQ(t.server("R", next - 300), invalid);
    EXPECT_EQ(t.server("R", next + 50000), invalid);
    EXPECT_EQ(t.state(), state);
    EXPECT_EQ(t.server("R", next), accept);
    EXPECT_EQ(t.state(), TcpState::close);
  }
}

TEST(TcpReset, Cve2016_5696_BlindRstsDoNothing) {
  // An attacker who sends a RST to every window-sized step of the sequence space hits the window once, but not the
  // exact number.
  Traffic t = in_flight();
  const TcpTrack before = t.track;
  std::uint64_t passed = 0;
  for (std::uint64_t sequence = 7; sequence < std::uint64_t{1} << 32; sequence += 10000) {
    passed += t.client("R", static_cast<std::uint32_t>(sequence)) == accept ? 1 : 0;
  }
  EXPECT_EQ(passed, 1U);
  EXPECT_EQ(t.track, before);
}

TEST(TcpReset, InSynSentARstMustAcknowledgeTheSyn) {
  Traffic t = Traffic::syn_sent();
  EXPECT_EQ(t.server("R", 0), invalid);
  EXPECT_EQ(t.server("R", 101), invalid);
  EXPECT_EQ(t.server("R", 0, 101), invalid);  // a number, but no ACK flag
  EXPECT_EQ(t.server("RA", 0, 100), invalid);
  EXPECT_EQ(t.server("RA", 0, 102), invalid);
  EXPECT_EQ(t.server("RA", 0, 0), invalid);
  EXPECT_EQ(t.last.reason, Reason::tcp_reset);
  EXPECT_EQ(t.state(), TcpState::syn_sent);
  EXPECT_EQ(t.server("RA", 0, 101), accept);
  EXPECT_EQ(t.state(), TcpState::close);
}

TEST(TcpReset, InSynSent2EitherSideMayRefuse) {
  for (const bool by_client : {false, true}) {
    Traffic t = Traffic::syn_sent2();
    EXPECT_EQ(by_client ? t.client("RA", 0, 300) : t.server("RA", 0, 100), invalid);
    EXPECT_EQ(by_client ? t.client("RA", 0, 301) : t.server("RA", 0, 101), accept);
    EXPECT_EQ(t.state(), TcpState::close);
  }
}

TEST(TcpReset, TheClientRefusesASynAck) {
  Traffic t = Traffic::syn_recv();
  EXPECT_EQ(t.client("R", 100), invalid);
  EXPECT_EQ(t.client("R", 102), accept);
  EXPECT_EQ(t.state(), TcpState::syn_recv);
  EXPECT_EQ(t.client("R", 101), accept);
  EXPECT_EQ(t.state(), TcpState::close);
}

TEST(TcpReset, TheServerGivesUpInSynRecv) {
  Traffic t = Traffic::syn_recv();
  EXPECT_EQ(t.server("R", 300), invalid);
  EXPECT_EQ(t.server("R", 5000), accept);
  EXPECT_EQ(t.state(), TcpState::syn_recv);
  EXPECT_EQ(t.server("R", 301), accept);
  EXPECT_EQ(t.state(), TcpState::close);
}

TEST(TcpReset, TheServerRefusesANewSynOnADeadConnection) {
  Traffic t = Traffic::established();
  EXPECT_EQ(t.client("S", 5000000), ignore);
  EXPECT_EQ(t.client("RA", 0, 5000001), invalid);  // not for the client to say
  EXPECT_EQ(t.server("RA", 0, 5000000), invalid);
  EXPECT_EQ(t.state(), TcpState::established);
  EXPECT_EQ(t.server("RA", 0, 5000001), accept);
  EXPECT_EQ(t.state(), TcpState::close);
  EXPECT_FALSE(tcp_closed_by_reply_first(t.track));
}

TEST(TcpReset, WhileLiberalOnlyAnExactRstCloses) {
  Traffic t = Traffic::established();
  tcp_make_liberal(t.track);
  EXPECT_EQ(t.client("R", 3000000), accept);
  EXPECT_EQ(t.client("R", 100), invalid);
  EXPECT_EQ(t.state(), TcpState::established);
  EXPECT_EQ(t.client("R", 101), accept);
  EXPECT_EQ(t.state(), TcpState::close);

  t.track = tcp_pick_up(segment("A", 5000, 9000, 100), Direction::original);
  EXPECT_EQ(t.server("R", 77), invalid);
  EXPECT_EQ(t.server("R", 12345678), accept);
  EXPECT_EQ(t.state(), TcpState::established);
  EXPECT_EQ(t.server("R", 9000), accept);
  EXPECT_EQ(t.state(), TcpState::close);
}

TEST(TcpReset, Fault19_ForgedSynHasNoEffect) {
  Traffic t = Traffic::established();
  const TcpTrack before = t.track;
  EXPECT_EQ(t.client("S", 500), ignore);         // in the window
  EXPECT_EQ(t.client("S", 3000000000), ignore);  // and not
  EXPECT_EQ(t.server("S", 500), invalid);
  EXPECT_EQ(t.track.peers, before.peers);
  EXPECT_EQ(t.server("A", 301, 101), accept);  // the challenge ACK (RFC 5961 §4)
  EXPECT_EQ(t.state(), TcpState::established);
  EXPECT_EQ(t.client("PA", 101, 301, 10), accept);
  EXPECT_EQ(t.track.noted_flags, 0);
}

}  // namespace
}  // namespace vipgate
