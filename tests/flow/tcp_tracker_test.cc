// How connections open and close: states, the transition table, simultaneous open, resynchronising, reopening.

#include "flow/tcp_tracker.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "flow/segments.h"

namespace vipgate {
namespace {

using enum TcpOutcome;

TEST(TcpTracker, OpensTalksAndCloses) {
  Traffic t;
  EXPECT_EQ(t.client("S", 100), accept);
  EXPECT_EQ(t.state(), TcpState::syn_sent);
  EXPECT_EQ(t.server("SA", 300, 101), accept);
  EXPECT_EQ(t.state(), TcpState::syn_recv);
  EXPECT_EQ(t.client("A", 101, 301), accept);
  EXPECT_EQ(t.state(), TcpState::established);
  EXPECT_EQ(t.client("PA", 101, 301, 500), accept);
  EXPECT_EQ(t.server("A", 301, 601, 1000), accept);
  EXPECT_EQ(t.server("FPA", 1301, 601, 200), accept);
  EXPECT_EQ(t.state(), TcpState::fin_wait);
  EXPECT_EQ(t.client("A", 601, 1502), accept);
  EXPECT_EQ(t.state(), TcpState::close_wait);
  EXPECT_EQ(t.client("FA", 601, 1502), accept);
  EXPECT_EQ(t.state(), TcpState::last_ack);
  EXPECT_EQ(t.server("A", 1502, 602), accept);
  EXPECT_EQ(t.state(), TcpState::time_wait);
  EXPECT_TRUE(t.last.refresh);
}

// A segment that is in the window of Traffic::in(state), so that the table alone decides.
TcpSegment fitting(const TcpTrack& track, Direction direction, std::string_view flags) {
  const TcpPeer& sender = track.peer(direction);
  const TcpPeer& receiver = track.peer(opposite(direction));
  const bool again = flags.starts_with('S') && sender.max_window != 0;  // a SYN repeats the one sent
  const std::uint32_t first = direction == Direction::original ? 100 : 300;
  return segment(flags, again ? first : (sender.max_window != 0 ? sender.end : first),
                 flags.find('A') == std::string_view::npos ? 0 : receiver.end);
}

TEST(TcpTracker, TransitionTable) {
  using enum TcpState;
  constexpr TcpState kStates[] = {syn_sent, syn_recv,  established, fin_wait, close_wait,
                                  last_ack, time_wait, close,       syn_sent2};
  struct Row {
    Direction direction;
    std::string_view flags;
    std::vector<std::string_view> next;  // by kStates; "-": ignored, "X": invalid, "+": reopened
  };
  constexpr auto kOriginal = Direction::original;
  constexpr auto kReply = Direction::reply;
  // In fin_wait and close_wait the client has sent its FIN already: repeated, it changes nothing.
  const Row rows[] = {
      {kOriginal, "S", {"syn_sent", "-", "-", "-", "-", "-", "+", "+", "syn_sent2"}},
      {kOriginal, "SA", {"X", "X", "X", "X", "X", "X", "X", "X", "syn_recv"}},
      {kOriginal, "FA", {"X", "fin_wait", "fin_wait", "fin_wait", "close_wait", "last_ack", "time_wait", "close", "X"}},
      {kOriginal,
       "A",
       {"X", "established", "established", "close_wait", "close_wait", "time_wait", "time_wait", "close", "X"}},
      {kOriginal, "RA", {"close", "close", "close", "close", "close", "close", "close", "close", "close"}},
      {kReply, "S", {"syn_sent2", "X", "X", "X", "X", "X", "+", "X", "syn_sent2"}},
      {kReply, "SA", {"syn_recv", "-", "-", "-", "-", "-", "-", "-", "syn_recv"}},
      {kReply, "FA", {"X", "fin_wait", "fin_wait", "last_ack", "last_ack", "last_ack", "time_wait", "close", "X"}},
      {kReply,
       "A",
       {"-", "syn_recv", "established", "close_wait", "close_wait", "last_ack", "time_wait", "close", "-"}},
      {kReply, "RA", {"close", "close", "close", "close", "close", "close", "close", "close", "close"}},
  };
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < std::size(kStates); ++i) {
      SCOPED_TRACE((row.direction == kOriginal ? "client " : "server ") + std::string(row.flags) + " in " +
                   std::string(name_of(kStates[i])));
      Traffic t = Traffic::in(kStates[i]);
      ASSERT_EQ(t.state(), kStates[i]);
      const TcpOutcome outcome = t.send(row.direction, fitting(t.track, row.direction, row.flags));
      const std::string_view next = row.next[i];
      EXPECT_EQ(outcome, next == "-" ? ignore : next == "X" ? invalid : next == "+" ? reopen : accept);
      EXPECT_EQ(name_of(t.state()), outcome == accept ? next : name_of(kStates[i]));
      EXPECT_EQ(t.last.reason, outcome == invalid ? Reason::tcp_state : Reason::none);
    }
  }
}

TEST(TcpTracker, NothingButASynOpens) {
  for (const char* flags : {"S", "SU", "SP", "SEC"}) EXPECT_TRUE(tcp_may_open(segment(flags, 100))) << flags;
  for (const char* flags : {"SA", "A", "FA", "R", "RA", "SF", "SR", "E", "", "FPU", "SFRPAU"}) {
    EXPECT_FALSE(tcp_may_open(segment(flags, 100))) << flags;
  }
  for (const Direction direction : {Direction::original, Direction::reply}) {
    for (const char* flags : {"SA", "FA", "RA", "R"}) {
      Traffic t;
      EXPECT_EQ(t.send(direction, segment(flags, 100, 300)), invalid) << flags;
    }
  }
}

TEST(TcpTracker, EverySetOfFlags) {
  for (unsigned flags = 0; flags < 256; ++flags) {
    TcpSegment sent = segment("A", 101, 301);
    sent.flags = static_cast<std::uint8_t>(flags);
    Traffic t = Traffic::established();
    t.send(Direction::original, sent);
    EXPECT_EQ(t.last.reason == Reason::tcp_flags, !tcp_flags_are_valid(sent.flags)) << flags;
  }
}

TEST(TcpTracker, Cve2001_0183_EceDoesNotMakeASegmentEstablished) {
  EXPECT_TRUE(tcp_may_open(segment("SEC", 100)));  // RFC 3168 §6.1.1: this is a SYN
  EXPECT_FALSE(tcp_may_open(segment("E", 100)));
  EXPECT_FALSE(tcp_may_pick_up(segment("E", 100)));
  EXPECT_FALSE(tcp_may_pick_up(segment("SE", 100)));
  Traffic t = Traffic::established();
  EXPECT_EQ(t.client("E", 101), invalid);
  EXPECT_EQ(t.last.reason, Reason::tcp_flags);
  EXPECT_EQ(t.client("SEC", 7000), ignore);
  EXPECT_EQ(t.state(), TcpState::established);
}

TEST(TcpTracker, UrgentDataIsData) {
  Traffic t = Traffic::established();
  EXPECT_EQ(t.client("PAU", 101, 301, 1), accept);
  EXPECT_EQ(t.server("FAU", 301, 102), accept);
  EXPECT_EQ(t.state(), TcpState::fin_wait);
}

TEST(TcpTracker, Rfc5382Req2_SimultaneousOpen) {
  Traffic t;
  EXPECT_EQ(t.client("S", 100, 0, 0, {.window = 1000, .scale = 3}), accept);
  EXPECT_EQ(t.server("S", 300, 0, 0, {.window = 1000, .scale = 2}), accept);
  EXPECT_EQ(t.state(), TcpState::syn_sent2);
  EXPECT_EQ(t.client("SA", 100, 301, 0, {.window = 1000, .scale = 3}), accept);
  EXPECT_EQ(t.state(), TcpState::syn_recv);
  EXPECT_EQ(t.server("SA", 300, 101, 0, {.window = 1000, .scale = 2}), accept);
  EXPECT_EQ(t.state(), TcpState::established);  // RFC 9293, figure 7: no ACK need follow
  EXPECT_EQ(t.server("PA", 301, 101, 900), accept);
  EXPECT_EQ(t.client("PA", 101, 1201, 900), accept);
}

TEST(TcpTracker, Rfc5382Req2_SimultaneousOpenInOtherOrders) {
  Traffic t = Traffic::syn_sent2();
  EXPECT_EQ(t.server("SA", 300, 101), accept);
  EXPECT_EQ(t.state(), TcpState::syn_recv);
  EXPECT_EQ(t.server("SA", 300, 101), accept);  // retransmitted: still one side's word only
  EXPECT_EQ(t.state(), TcpState::syn_recv);
  EXPECT_EQ(t.client("SA", 100, 301), accept);
  EXPECT_EQ(t.state(), TcpState::established);

  t = Traffic::syn_sent2();
  EXPECT_EQ(t.client("SA", 100, 301), accept);
  EXPECT_EQ(t.server("A", 301, 101), accept);  // its SYN/ACK was lost before it came here
  EXPECT_EQ(t.state(), TcpState::established);

  t = Traffic::syn_sent2();
  EXPECT_EQ(t.client("SA", 100, 999), invalid);  // acknowledges a SYN never sent
  EXPECT_EQ(t.client("SA", 99, 301), invalid);
  EXPECT_EQ(t.last.reason, Reason::tcp_window);
}

TEST(TcpTracker, Rfc5382Req2_SimultaneousOpenRepeatedLate) {
  Traffic t = Traffic::syn_sent2();
  EXPECT_EQ(t.client("SA", 100, 301), accept);
  EXPECT_EQ(t.server("SA", 300, 101), accept);
  EXPECT_EQ(t.client("SA", 100, 301), ignore);  // it missed the server's SYN/ACK
  EXPECT_EQ(t.server("S", 300), ignore);
  EXPECT_EQ(t.client("SA", 101, 301), invalid);
  EXPECT_EQ(t.server("S", 301), invalid);
  EXPECT_EQ(t.state(), TcpState::established);
}

TEST(TcpTracker, Rfc5382Req2_ForgedSynInSynSentDoesNotBlockTheSynAck) {
  Traffic t = Traffic::syn_sent();
  EXPECT_EQ(t.server("S", 987654321), accept);  // simultaneous open, for all that can be known
  EXPECT_EQ(t.server("SA", 300, 101), accept);
  EXPECT_EQ(t.client("A", 101, 301), accept);
  EXPECT_EQ(t.state(), TcpState::established);
}

TEST(TcpTracker, Rfc5382Req2_HalfClose) {
  Traffic t = Traffic::close_wait();
  for (std::uint32_t sent = 0; sent < 500000; sent += 5000) {
    EXPECT_EQ(t.server("PA", 301 + sent, 102, 5000), accept);
    EXPECT_EQ(t.client("A", 102, 301 + sent + 5000), accept);
    EXPECT_EQ(t.state(), TcpState::close_wait);
  }
  EXPECT_EQ(t.server("FA", 500301, 102), accept);
  EXPECT_EQ(t.state(), TcpState::last_ack);
  EXPECT_EQ(t.client("A", 102, 500302), accept);
  EXPECT_EQ(t.state(), TcpState::time_wait);
}

TEST(TcpTracker, RetransmittedFinIsNotTheOtherSidesFin) {
  Traffic t = Traffic::established();
  EXPECT_EQ(t.client("FA", 101, 301), accept);
  EXPECT_EQ(t.client("FA", 101, 301), accept);
  EXPECT_EQ(t.state(), TcpState::fin_wait);
  EXPECT_EQ(t.server("A", 301, 102), accept);
  EXPECT_EQ(t.client("FA", 101, 301), accept);
  EXPECT_EQ(t.server("A", 301, 102), accept);
  EXPECT_EQ(t.state(), TcpState::close_wait);  // the server may still send for hours
}

TEST(TcpTracker, TimeWaitOnlyWhenBothFinsAreAcknowledged) {
  Traffic t = Traffic::close_wait();
  EXPECT_EQ(t.server("PA", 301, 102, 100), accept);
  EXPECT_EQ(t.server("FA", 401, 102), accept);
  EXPECT_EQ(t.client("A", 102, 401), accept);  // the data, not the FIN
  EXPECT_EQ(t.state(), TcpState::last_ack);
  EXPECT_EQ(t.client("A", 102, 402), accept);
  EXPECT_EQ(t.state(), TcpState::time_wait);
}

TEST(TcpTracker, Rfc9293Figure13_SimultaneousClose) {
  Traffic t = Traffic::established();
  EXPECT_EQ(t.client("FA", 101, 301), accept);
  EXPECT_EQ(t.server("FA", 301, 101), accept);
  EXPECT_EQ(t.state(), TcpState::last_ack);
  EXPECT_EQ(t.client("A", 102, 302), accept);
  EXPECT_EQ(t.state(), TcpState::last_ack);
  EXPECT_EQ(t.server("A", 302, 102), accept);
  EXPECT_EQ(t.state(), TcpState::time_wait);
  EXPECT_TRUE(tcp_closed_by_reply_first(t.track));  // both sides may hold TIME-WAIT
}

TEST(TcpTracker, RetransmittedSynDoesNotRefresh) {
  Traffic t = Traffic::syn_sent();
  EXPECT_EQ(t.client("S", 100), accept);
  EXPECT_FALSE(t.last.refresh);
  EXPECT_EQ(t.client("S", 55), ignore);  // nor does another one
  t = Traffic::syn_recv();
  EXPECT_EQ(t.client("S", 100), ignore);
  EXPECT_EQ(t.server("SA", 300, 101), ignore);
}

TEST(TcpTracker, SynAckMustAcknowledgeTheSyn) {
  Traffic t = Traffic::syn_sent();
  for (const std::uint32_t wrong : {0U, 100U, 102U, 90U, 0x80000065U}) {
    EXPECT_EQ(t.server("SA", 300, wrong), invalid) << wrong;
    EXPECT_EQ(t.last.reason, Reason::tcp_window);
  }
  EXPECT_EQ(t.server("SA", 300, 101), accept);
}

TEST(TcpTracker, Rfc7413_FastOpenWithAcceptedAndRefusedData) {
  for (const std::uint32_t acknowledged : {101U, 601U}) {
    Traffic t;
    EXPECT_EQ(t.client("S", 100, 0, 500), accept);
    EXPECT_EQ(t.client("S", 100), accept);  // repeated without the data
    EXPECT_EQ(t.server("SA", 300, acknowledged), accept);
    EXPECT_EQ(t.server("PA", 301, acknowledged, 1000), accept);  // before the client's ACK
    EXPECT_EQ(t.client("PA", acknowledged, 301, 1000), accept);
    EXPECT_EQ(t.state(), TcpState::established);
  }
}

TEST(TcpTracker, Rfc7413_FastOpenDataInARetransmission) {
  Traffic t = Traffic::syn_sent();
  EXPECT_EQ(t.client("S", 100, 0, 500), accept);
  EXPECT_EQ(t.server("SA", 300, 601), accept);
}

TEST(TcpTracker, OnlyAnAckOfTheSynAckEstablishes) {
  Traffic t = Traffic::syn_recv();
  EXPECT_EQ(t.client("A", 101, 300), ignore);  // in the window of (IV), but a guess: RFC 9293 §3.10.7.4
  EXPECT_EQ(t.client("A", 101, 302), invalid);
  EXPECT_EQ(t.client("FA", 101, 300), ignore);
  EXPECT_EQ(t.state(), TcpState::syn_recv);
  EXPECT_EQ(t.client("A", 101, 301), accept);
  EXPECT_EQ(t.state(), TcpState::established);
}

TEST(TcpTracker, SynAckThatAnswersAnIgnoredSynResynchronises) {
  for (const TcpState state :
       {TcpState::syn_recv, TcpState::established, TcpState::fin_wait, TcpState::close_wait, TcpState::last_ack}) {
    SCOPED_TRACE(name_of(state));
    Traffic t = Traffic::in(state);
    EXPECT_EQ(t.client("S", 5000000, 0, 0, {.window = 2000, .scale = 4}), ignore);  // the client was restarted
    EXPECT_EQ(t.state(), state);
    EXPECT_EQ(t.server("SA", 7000000, 5000002), ignore);  // acknowledges another
    EXPECT_EQ(t.state(), state);
    EXPECT_EQ(t.server("SA", 7000000, 5000001, 0, {.window = 2000, .scale = 5}), accept);
    EXPECT_EQ(t.state(), TcpState::syn_recv);
    EXPECT_TRUE(t.last.refresh);
    EXPECT_EQ(t.client("A", 5000001, 7000001, 0, {.window = 2000}), accept);
    EXPECT_EQ(t.state(), TcpState::established);
    EXPECT_FALSE(tcp_closed_by_reply_first(t.track));
    EXPECT_EQ(t.server("A", 7000001 + 31999, 5000001, 1), accept);  // within 2000 << 4
  }
}

TEST(TcpTracker, ResynchronisedIsAConnectionOfItsOwn) {
  Traffic t = Traffic::established();
  t.server("FA", 301, 101);
  ASSERT_TRUE(tcp_closed_by_reply_first(t.track));
  t.client("S", 5000000);
  EXPECT_EQ(t.server("SA", 7000000, 5000001), accept);
  EXPECT_FALSE(tcp_closed_by_reply_first(t.track));
  EXPECT_EQ(t.server("RA", 0, 101), invalid);  // what the old one sent is nothing to it
  EXPECT_EQ(t.client("A", 5000001, 7000001), accept);
  EXPECT_EQ(t.client("S", 5000000), ignore);  // late duplicates of its own handshake
  EXPECT_EQ(t.server("SA", 7000000, 5000001), ignore);
  EXPECT_EQ(t.state(), TcpState::established);
}

TEST(TcpTracker, IgnoredSynIsForgottenWhenTheClientGoesOn) {
  Traffic t = Traffic::established();
  EXPECT_EQ(t.client("S", 5000000), ignore);  // forged
  EXPECT_EQ(t.client("PA", 101, 301, 10), accept);
  EXPECT_EQ(t.server("SA", 7000000, 5000001), ignore);
  EXPECT_EQ(t.state(), TcpState::established);
}

TEST(TcpTracker, DuplicateHandshakeDoesNotSetBackAnEstablishedConnection) {
  Traffic t = Traffic::established();
  EXPECT_EQ(t.client("PA", 101, 301, 1000), accept);
  EXPECT_EQ(t.client("S", 100), ignore);
  EXPECT_EQ(t.server("SA", 300, 101), ignore);
  EXPECT_EQ(t.state(), TcpState::established);
  EXPECT_EQ(t.server("A", 301, 1101), accept);
}

TEST(TcpTracker, SynCookiesAnswerARetransmissionWithAnotherNumber) {
  Traffic t = Traffic::syn_recv();  // this SYN/ACK was lost beyond us
  EXPECT_EQ(t.client("S", 100), ignore);
  EXPECT_EQ(t.server("SA", 4000, 101), accept);
  EXPECT_EQ(t.client("A", 101, 4001), accept);
  EXPECT_EQ(t.state(), TcpState::established);
}

TEST(TcpTracker, Rfc9293Figure9_OldDuplicateSyn) {
  Traffic t = Traffic::syn_sent();
  EXPECT_EQ(t.client("S", 90), ignore);  // the old duplicate, first to arrive
  EXPECT_EQ(t.server("SA", 300, 91), accept);
  EXPECT_EQ(t.client("R", 91), accept);
  EXPECT_EQ(t.state(), TcpState::close);
  EXPECT_EQ(t.server("SA", 400, 101), accept);  // now the server got the real one
  EXPECT_EQ(t.client("A", 101, 401), accept);
  EXPECT_EQ(t.state(), TcpState::established);

  t = Traffic::syn_sent();
  EXPECT_EQ(t.client("S", 90), ignore);  // lost beyond us
  EXPECT_EQ(t.server("SA", 300, 101), accept);
  EXPECT_EQ(t.client("A", 101, 301), accept);
  EXPECT_EQ(t.state(), TcpState::established);
}

TEST(TcpTracker, Rfc9293Figure10_HalfOpenConnectionDiscovered) {
  Traffic t = Traffic::syn_sent();
  EXPECT_EQ(t.server("A", 9000, 7000), ignore);  // the server remembers an older connection
  EXPECT_EQ(t.state(), TcpState::syn_sent);
  EXPECT_EQ(t.client("R", 7001), invalid);
  EXPECT_EQ(t.client("R", 7000), accept);
  EXPECT_EQ(t.state(), TcpState::close);
  EXPECT_EQ(t.client("S", 100), reopen);
}

TEST(TcpTracker, Rfc1122_TimeWaitIsReopenedByASyn) {
  for (const TcpState state : {TcpState::time_wait, TcpState::close}) {
    Traffic t = Traffic::in(state);
    EXPECT_EQ(t.client("S", 50), reopen);
    EXPECT_EQ(t.state(), state);
  }
}

TEST(TcpTracker, Rfc5961_ChallengeAckInLastAckIsNotTimeWait) {
  // The server closed first; the client's FIN is acknowledged by nobody yet.
  Traffic t = Traffic::established();
  EXPECT_EQ(t.server("FA", 301, 101), accept);
  EXPECT_EQ(t.client("FA", 101, 302), accept);
  EXPECT_EQ(t.client("S", 5000), ignore);
  EXPECT_EQ(t.server("A", 302, 102), ignore);  // the answer to that SYN
  EXPECT_EQ(t.state(), TcpState::last_ack);
  EXPECT_EQ(t.server("A", 302, 102), accept);
  EXPECT_EQ(t.state(), TcpState::time_wait);
}

}  // namespace
}  // namespace vipgate
