// Whole conversations of two model TCPs over links that lose, duplicate and reorder, with the tracker between them:
// every genuine segment must pass, and nothing that is forged blindly may have an effect.

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <string>

#include "flow/model_endpoint.h"
#include "flow/segments.h"
#include "flow/tcp_tracker.h"

namespace vipgate {
namespace {

struct Link {
  double loss = 0;
  double duplication = 0;
  unsigned jitter = 0;  // ticks, above one
  std::multimap<std::uint64_t, TcpSegment> in_flight;

  void send(const TcpSegment& segment, std::uint64_t now, std::mt19937_64& random) {
    std::uniform_real_distribution<double> chance(0, 1);
    const int copies = chance(random) < loss ? 0 : chance(random) < duplication ? 2 : 1;
    for (int i = 0; i < copies; ++i) in_flight.emplace(now + 1 + (jitter == 0 ? 0 : random() % (jitter + 1)), segment);
  }

  std::deque<TcpSegment> arrived(std::uint64_t now) {
    std::deque<TcpSegment> out;
    while (!in_flight.empty() && in_flight.begin()->first <= now) {
      out.push_back(in_flight.begin()->second);
      in_flight.erase(in_flight.begin());
    }
    return out;
  }
};

/// What befalls the tracker in the middle.
enum class Event : std::uint8_t { nothing, adopted, adopted_stale, lost };

class Conversation {
 public:
  Conversation(std::uint64_t seed, Event event, bool simultaneous) : random_(seed), event_(event) {
    std::array<ModelEndpoint::Options, 2> options;
    for (ModelEndpoint::Options& side : options) {
      side.first = random_() % 2 == 0 ? 0U - static_cast<std::uint32_t>(random_() % 200000)
                                      : static_cast<std::uint32_t>(random_());
      side.bytes = random_() % 4 == 0 ? 0 : random_() % 400000;
      side.segment = std::array<std::uint32_t, 4>{100, 536, 1460, 65495}[random_() % 4];
      side.buffer = std::array<std::uint64_t, 4>{2000, 30000, 65535, 1000000}[random_() % 4];
      if (random_() % 3 != 0) {
        side.scale = static_cast<std::uint8_t>(random_() % 15);
        while (side.buffer >> *side.scale < 500) --*side.scale;
      }
      side.sack = random_() % 3 != 0;
      side.delay = random_() % 2 == 0 ? 0 : random_() % 300;
    }
    options[0].opens = true;
    options[1].opens = simultaneous;
    sides_ = {ModelEndpoint(options[0]), ModelEndpoint(options[1])};
    sent_ = {options[0].bytes, options[1].bytes};
    for (auto* links : {&before_, &after_}) {
      for (Link& link : *links) {
        if (random_() % 3 == 0) continue;  // a good one
        link = {0.05 * static_cast<double>(random_() % 3),
                0.05 * static_cast<double>(random_() % 3),
                static_cast<unsigned>(random_() % 12),
                {}};
      }
    }
    event_at_ = 60 + random_() % 200;
  }

  void run() {
    std::uint64_t quiet_since = 0;
    for (std::uint64_t now = 1; now < 200000 && !::testing::Test::HasFailure(); ++now) {
      for (std::size_t side = 0; side < 2; ++side) {
        const auto direction = static_cast<Direction>(side);
        for (const TcpSegment& segment : sides_[side].tick(now, random_)) before_[side].send(segment, now, random_);
        for (const TcpSegment& segment : before_[side].arrived(now)) {
          if (gateway(direction, segment)) after_[side].send(segment, now, random_);
        }
        for (const TcpSegment& segment : after_[side].arrived(now)) sides_[1 - side].receive(segment);
      }
      if (now == event_at_) happen();
      const bool done = sides_[0].is_done() && sides_[1].is_done();
      if (!done) quiet_since = now;
      if (now > quiet_since + 100) break;
    }
    ASSERT_TRUE(sides_[0].is_done() && sides_[1].is_done()) << "the connection hangs in " << name_of(traffic_.state());
    EXPECT_EQ(sides_[0].received(), sent_[1] + 2);
    EXPECT_EQ(sides_[1].received(), sent_[0] + 2);
    EXPECT_TRUE(event_ != Event::nothing || final_state_is_right()) << name_of(traffic_.state());
  }

 private:
  bool final_state_is_right() const {
    // The last ACKs may have been lost before they came to the gateway, but then the other side would have repeated its
    // FIN.
    return traffic_.state() == TcpState::time_wait || traffic_.state() == TcpState::last_ack;
  }

  /// Whether the segment passes.
  bool gateway(Direction direction, const TcpSegment& segment) {
    for (int i = 0; i < 2; ++i) forge();
    if (traffic_.state() == TcpState::none) {
      if (direction == Direction::original && tcp_may_open(segment)) {
        traffic_.track = tcp_open(segment);
      } else if (lost_ && tcp_may_pick_up(segment)) {
        traffic_.track = tcp_pick_up(segment, direction);
      } else if (!lost_) {
        return false;  // an unsolicited SYN
      }
      return true;
    }
    const TcpTrack before = traffic_.track;
    const TcpOutcome outcome = traffic_.send(direction, segment);
    // Simultaneous open: overtaken by the SYN/ACK, which made it needless.
    if (direction == Direction::reply && segment.flags == tcp::kSyn && outcome == TcpOutcome::invalid) return false;
    char letters[9];
    EXPECT_NE(outcome, TcpOutcome::invalid)
        << (direction == Direction::original ? "client " : "server ") << tcp::flag_letters(segment.flags, letters)
        << " seq " << segment.sequence << '+' << segment.payload_length << " ack " << segment.acknowledgement << " in "
        << name_of(before.state) << ": client end " << before.peers[0].end << " max_end " << before.peers[0].max_end
        << ", server end " << before.peers[1].end << " max_end " << before.peers[1].max_end;
    EXPECT_TRUE(tcp_is_sound(traffic_.track));
    const bool duplicate_syn = segment.has(tcp::kSyn) && before.state == TcpState::time_wait;
    EXPECT_TRUE(outcome != TcpOutcome::reopen || duplicate_syn);
    history_.push_back(traffic_.track);
    if (history_.size() > 4) history_.pop_front();
    return true;
  }

  /// Somebody guesses. What may have an effect by chance (a number in the window) is not sent.
  void forge() {
    if (traffic_.state() == TcpState::none || tcp_is_liberal(traffic_.track)) return;
    if (traffic_.track.has(TcpTrack::kPickedUp)) return;  // windows of up to 1 GiB are too easy to hit
    static constexpr std::uint8_t kFlags[] = {tcp::kRst, tcp::kRst | tcp::kAck, tcp::kAck, tcp::kFin | tcp::kAck,
                                              tcp::kSyn, tcp::kSyn | tcp::kAck};
    TcpSegment forged;
    forged.flags = kFlags[random_() % std::size(kFlags)];
    forged.sequence = static_cast<std::uint32_t>(random_());
    forged.acknowledgement = static_cast<std::uint32_t>(random_());
    forged.window = static_cast<std::uint16_t>(random_());
    forged.payload_length = static_cast<std::uint32_t>(random_() % 1460);
    const auto direction = static_cast<Direction>(random_() % 2);
    // A SYN proves nothing and needs no number: simultaneous open, for all that can be known.
    const bool opens = forged.flags == tcp::kSyn && traffic_.state() == TcpState::syn_sent;
    if (near(direction, forged) || opens) return;
    const TcpTrack before = traffic_.track;
    traffic_.send(direction, forged);
    EXPECT_EQ(traffic_.state(), before.state);
    EXPECT_EQ(traffic_.track.peers, before.peers);
    EXPECT_EQ(traffic_.track.flags, before.flags);
    EXPECT_FALSE(traffic_.last.refresh);
  }

  bool near(Direction direction, const TcpSegment& forged) const {
    const auto is_near = [](std::uint32_t a, std::uint32_t b) { return a - b + (1U << 21) < 1U << 22; };
    return is_near(forged.sequence, traffic_.track.peer(direction).end) ||
           is_near(forged.acknowledgement, traffic_.track.peer(opposite(direction)).end);
  }

  void happen() {
    if (event_ == Event::nothing || traffic_.state() == TcpState::none) return;
    if (event_ == Event::adopted_stale && !history_.empty()) traffic_.track = history_.front();
    if (event_ == Event::lost) {
      traffic_.track = TcpTrack{};
      lost_ = true;
    } else {
      tcp_make_liberal(traffic_.track);
    }
  }

  std::mt19937_64 random_;
  Event event_;
  std::array<ModelEndpoint, 2> sides_{ModelEndpoint({}), ModelEndpoint({})};
  std::array<std::uint64_t, 2> sent_{};
  std::array<Link, 2> before_;
  std::array<Link, 2> after_;
  std::uint64_t event_at_ = 0;
  bool lost_ = false;
  Traffic traffic_;
  std::deque<TcpTrack> history_;
};

class TcpConversation : public ::testing::TestWithParam<Event> {};

TEST_P(TcpConversation, EveryGenuineSegmentPassesAndNoForgedOneCounts) {
  for (std::uint64_t seed = 1; seed <= 150 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Conversation(seed, GetParam(), false).run();
  }
}

INSTANTIATE_TEST_SUITE_P(Events, TcpConversation,
                         ::testing::Values(Event::nothing, Event::adopted, Event::adopted_stale, Event::lost));

TEST(TcpConversations, Rfc5382Req2_SimultaneousOpenOverBadLinks) {
  for (std::uint64_t seed = 1; seed <= 150 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Conversation(seed, Event::nothing, true).run();
  }
}

}  // namespace
}  // namespace vipgate
