#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <ostream>
#include <string_view>

#include "flow/tcp_tracker.h"

namespace vipgate {

// For GoogleTest's messages.
inline void PrintTo(TcpState state, std::ostream* out) {
  *out << name_of(state);
}
inline void PrintTo(TcpOutcome outcome, std::ostream* out) {
  constexpr std::string_view kNames[] = {"accept", "ignore", "reopen", "invalid"};
  *out << kNames[static_cast<std::size_t>(outcome)];
}
inline void PrintTo(Reason reason, std::ostream* out) {
  *out << static_cast<int>(reason);
}

/// What few segments have.
struct Extras {
  std::uint16_t window = 10000;
  std::optional<std::uint8_t> scale{};
  bool sack_permitted = false;
  std::optional<std::uint32_t> sack{};
  std::optional<std::uint32_t> timestamp{};
};

/// Flags as packet printers write them: segment("PA", 101, 301, 10) carries bytes 101 to 110 and acknowledges 300.
inline TcpSegment segment(std::string_view flags, std::uint32_t sequence, std::uint32_t acknowledgement = 0,
                          std::uint32_t length = 0, Extras extras = {}) {
  constexpr std::string_view kLetters = "FSRPAUEC";  // by bit
  TcpSegment made;
  for (const char letter : flags) {
    const std::size_t bit = kLetters.find(letter);
    if (bit == std::string_view::npos) ADD_FAILURE() << "no such flag: " << letter;
    made.flags = static_cast<std::uint8_t>(made.flags | 1U << bit);
  }
  made.sequence = sequence;
  made.acknowledgement = acknowledgement;
  made.payload_length = length;
  made.window = extras.window;
  made.options = {extras.scale, extras.sack_permitted, extras.sack, extras.timestamp};
  return made;
}

/// A connection as the tracker sees it. client() and server() send a segment and say what the tracker made of it.
class Traffic {
 public:
  TcpTrack track;
  TcpResult last;

  TcpState state() const { return track.state; }

  TcpOutcome client(std::string_view flags, std::uint32_t sequence, std::uint32_t acknowledgement = 0,
                    std::uint32_t length = 0, Extras extras = {}) {
    const TcpSegment sent = segment(flags, sequence, acknowledgement, length, extras);
    if (track.state == TcpState::none && tcp_may_open(sent)) {
      track = tcp_open(sent);
      last = {TcpOutcome::accept, Reason::none, true};
      return last.outcome;
    }
    return send(Direction::original, sent);
  }

  TcpOutcome server(std::string_view flags, std::uint32_t sequence, std::uint32_t acknowledgement = 0,
                    std::uint32_t length = 0, Extras extras = {}) {
    return send(Direction::reply, segment(flags, sequence, acknowledgement, length, extras));
  }

  /// Checked always: `invalid` gives a reason and changes nothing, `accept` alone changes the state, which refreshes.
  TcpOutcome send(Direction direction, const TcpSegment& sent) {
    const TcpTrack before = track;
    last = tcp_track(track, direction, sent);
    EXPECT_EQ(last.outcome == TcpOutcome::invalid, last.reason != Reason::none);
    EXPECT_TRUE(last.outcome != TcpOutcome::invalid || track == before);
    EXPECT_TRUE(last.outcome == TcpOutcome::accept || (!last.refresh && track.state == before.state));
    EXPECT_TRUE(last.refresh || track.state == before.state);
    return last.outcome;
  }

  // How conversations usually begin. The client's first byte is 101, the server's 301.
  static Traffic syn_sent(Extras client = {}) {
    Traffic traffic;
    EXPECT_EQ(traffic.client("S", 100, 0, 0, client), TcpOutcome::accept);
    return traffic;
  }
  static Traffic syn_recv(Extras client = {}, Extras server = {}) {
    Traffic traffic = syn_sent(client);
    EXPECT_EQ(traffic.server("SA", 300, 101, 0, server), TcpOutcome::accept);
    return traffic;
  }
  static Traffic established(Extras client = {}, Extras server = {}) {
    Traffic traffic = syn_recv(client, server);
    EXPECT_EQ(traffic.client("A", 101, 301), TcpOutcome::accept);
    return traffic;
  }
  static Traffic syn_sent2() {
    Traffic traffic = syn_sent();
    EXPECT_EQ(traffic.server("S", 300), TcpOutcome::accept);
    return traffic;
  }
  // The client closes first; its next sequence number is then 102, the server's 301, after its FIN 302.
  static Traffic fin_wait() {
    Traffic traffic = established();
    EXPECT_EQ(traffic.client("FA", 101, 301), TcpOutcome::accept);
    return traffic;
  }
  static Traffic close_wait() {
    Traffic traffic = fin_wait();
    EXPECT_EQ(traffic.server("A", 301, 102), TcpOutcome::accept);
    return traffic;
  }
  static Traffic last_ack() {
    Traffic traffic = close_wait();
    EXPECT_EQ(traffic.server("FA", 301, 102), TcpOutcome::accept);
    return traffic;
  }
  static Traffic time_wait() {
    Traffic traffic = last_ack();
    EXPECT_EQ(traffic.client("A", 102, 302), TcpOutcome::accept);
    return traffic;
  }
  static Traffic closed() {
    Traffic traffic = established();
    EXPECT_EQ(traffic.client("R", 101), TcpOutcome::accept);
    return traffic;
  }
  static Traffic in(TcpState state) {
    switch (state) {
      case TcpState::none:
        return {};
      case TcpState::syn_sent:
        return syn_sent();
      case TcpState::syn_recv:
        return syn_recv();
      case TcpState::established:
        return established();
      case TcpState::fin_wait:
        return fin_wait();
      case TcpState::close_wait:
        return close_wait();
      case TcpState::last_ack:
        return last_ack();
      case TcpState::time_wait:
        return time_wait();
      case TcpState::close:
        return closed();
      case TcpState::syn_sent2:
        return syn_sent2();
    }
    return {};
  }
};

}  // namespace vipgate
