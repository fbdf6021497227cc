// Whole control connections of two model TCPs over links that lose, duplicate and reorder, with tracker and helper
// between them: each side must receive exactly the other's lines, rewritten.

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <regex>

#include "nat/ftp.h"
#include "nat/ftp_model.h"
#include "support/parse_packet.h"
#include "vipgate/inspect.h"

namespace vipgate::test {
namespace {

using Wire = ModelPeer::Wire;

std::string commas(const Endpoint& endpoint) {
  std::string text = endpoint.address.to_string();
  std::replace(text.begin(), text.end(), '.', ',');
  return text + "," + std::to_string(endpoint.port / 256) + "," + std::to_string(endpoint.port % 256);
}

const std::string kByte = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])";

/// What becomes of a client's line, and who is asked for it: with regular expressions, on the whole line.
std::string rewritten_command(const std::string& line, ModelExpecter& expecter) {
  static const std::regex kPort("(PORT +)(" + kByte + "(," + kByte + "){5}) *(\r?\n)", std::regex::icase);
  static const std::regex kEprt("(EPRT +)([^0-9])1\\2([0-9.]+)\\2([0-9]{1,5})\\2 *(\r?\n)", std::regex::icase);
  if (line.size() > 200) return line;
  std::smatch match;
  Endpoint named;
  const bool port = std::regex_match(line, match, kPort);
  if (port) {
    std::string numbers = match.str(2);
    std::replace(numbers.begin(), numbers.end(), ',', ' ');
    std::istringstream stream(numbers);
    std::uint32_t parts[6];
    for (auto& part : parts) stream >> part;
    named = {Ipv4Address(parts[0] << 24 | parts[1] << 16 | parts[2] << 8 | parts[3]),
             static_cast<std::uint16_t>(parts[4] << 8 | parts[5])};
  } else if (std::regex_match(line, match, kEprt)) {
    named = {address(match.str(3)), static_cast<std::uint16_t>(std::stoi(match.str(4)))};
  } else {
    return line;
  }
  std::optional<Endpoint> announced;
  if (named.address == kNames.client && named.port >= 1024) announced = expecter.expect(DataOpener::backend, named);
  const Endpoint to = announced.value_or(Endpoint());
  if (port) return match.str(1) + commas(to) + match.str(4);
  const std::string d = match.str(2);
  return match.str(1) + d + "1" + d + to.address.to_string() + d + std::to_string(to.port) + d + match.str(5);
}

std::string rewritten_reply(const std::string& line, ModelExpecter& expecter) {
  static const std::string kFour = kByte + "," + kByte + "," + kByte + "," + kByte + ",";
  static const std::regex kPassive("([^,0-9])(" + kFour + "(" + kByte + "),(" + kByte + "))([^,0-9])");
  static const std::regex kExtended("\\(([!-/:-~])\\1\\1([0-9]{1,5})\\1");
  std::smatch match;
  if (line.size() > 200) return line;
  std::string numbers;
  std::size_t at = 0;
  std::uint16_t port = 0;
  bool own = false;
  if (line.starts_with("227 ") && std::regex_search(line, match, kPassive)) {
    numbers = match.str(2);
    at = static_cast<std::size_t>(match.position(2));
    port = static_cast<std::uint16_t>(std::stoi(match.str(3)) * 256 + std::stoi(match.str(4)));
    for (const char* address : {"10,0,0,2,", "203,0,113,10,", "0,0,0,0,"}) own = own || numbers.starts_with(address);
  } else if (line.starts_with("229 ") && std::regex_search(line, match, kExtended)) {
    numbers = match.str(2);
    at = static_cast<std::size_t>(match.position(2));
    port = static_cast<std::uint16_t>(std::stoi(numbers));
    own = true;
  }
  if (!own || port < 1024) return line;
  const auto announced = expecter.expect(DataOpener::client, {kNames.backend, port});
  if (!announced) return line;
  const std::string text = line.starts_with("227 ") ? commas(*announced) : std::to_string(announced->port);
  return line.substr(0, at) + text + line.substr(at + numbers.size());
}

/// The whole of what a side receives of the other side's text.
std::string rewritten(const std::string& text, Direction direction, ModelExpecter& expecter) {
  std::string out;
  std::string reply;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size() - 1) + 1;
    const std::string line = text.substr(begin, end - begin);
    begin = end;
    if (line.back() != '\n') {  // no line
      out += line;
    } else if (direction == Direction::original) {
      out += rewritten_command(line, expecter);
    } else if (!reply.empty() && !line.starts_with(reply)) {
      out += line;
    } else {
      if (reply.empty() && line.size() > 4 && line[3] == '-') reply = line.substr(0, 3) + " ";
      if (!reply.empty() && line.starts_with(reply)) reply.clear();
      out += rewritten_reply(line, expecter);
    }
  }
  return out;
}

class Script {
 public:
  explicit Script(std::mt19937_64& random) : random_(random) {}

  std::string commands(std::size_t count) {
    std::string text;
    while (count-- > 0) text += command();
    return text;
  }
  std::string replies(std::size_t count) {
    std::string text;
    while (count-- > 0) text += reply();
    return text;
  }

 private:
  std::size_t below(std::size_t limit) { return random_() % limit; }
  std::uint16_t port() { return static_cast<std::uint16_t>(below(6) == 0 ? below(1024) : 1024 + below(64512)); }
  std::string line_end() { return below(5) == 0 ? "\n" : "\r\n"; }
  std::string garbage(std::size_t length) {
    std::string text;
    while (text.size() < length) text += "PORT 1,2(|||229 \r;x"[below(19)];
    return text;
  }

  std::string command() {
    const char* const addresses[] = {"198.51.100.7", "198.51.100.7", "198.51.100.7", "198.51.100.70", "10.0.0.3"};
    const Endpoint named{address(addresses[below(5)]), port()};
    const std::string d(1, "|!,;"[below(4)]);
    switch (below(12)) {
      case 0:
        return "USER anonymous" + line_end();
      case 1:
        return "NOOP PORT " + commas(named) + line_end();
      case 2:
        return "PORT 1,2,3" + line_end();
      case 3:
        return "EPRT |2|2001:db8::1|4000|" + line_end();
      case 4:
        return "PORT " + garbage(below(80)) + line_end();
      case 5:
        return garbage(below(10) == 0 ? 3000 : below(100)) + line_end();
      case 6:
      case 7:
        return (below(2) == 0 ? "EPRT " : "eprt ") + d + "1" + d + named.address.to_string() + d +
               std::to_string(named.port) + d + line_end();
      default:
        return (below(2) == 0 ? "PORT " : "port  ") + commas(named) + (below(6) == 0 ? " " : "") + line_end();
    }
  }

  std::string reply() {
    const char* const addresses[] = {"10.0.0.2", "10.0.0.2", "203.0.113.10", "0.0.0.0", "10.0.0.20"};
    const Endpoint named{address(addresses[below(5)]), port()};
    const std::string d(1, "|!,;"[below(4)]);
    const std::string passive = "227 Entering Passive Mode (" + commas(named) + ").";
    const std::string extended = "229 Extended (" + d + d + d + std::to_string(port()) + d + ")";
    switch (below(12)) {
      case 0:
        return "220 Welcome" + line_end();
      case 1:
        return "211-Features" + line_end() + passive + line_end() + " " + passive + line_end() + "211 End" + line_end();
      case 2:
        return "227-" + passive + line_end() + "227 =" + commas(named) + line_end();
      case 3:
        return "227 2 of 17,3 (" + commas(named) + ")" + line_end();
      case 4:
        return "250 " + passive + line_end();
      case 5:
        return "227 (1" + commas(named) + ",7) 300,1,1,1,4,1 " + commas(named) + line_end();
      case 6:
        return "999 " + garbage(below(10) == 0 ? 3000 : below(100)) + line_end();
      case 7:
      case 8:
        return extended + line_end();
      default:
        return passive + line_end();
    }
  }

  std::mt19937_64& random_;
};

struct Links {
  double loss = 0;
  unsigned jitter = 0;
  std::multimap<std::uint64_t, Wire> in_flight;

  void send(const Wire& wire, std::uint64_t now, std::mt19937_64& random) {
    std::uniform_real_distribution<double> chance(0, 1);
    const int copies = chance(random) < loss ? 0 : chance(random) < loss ? 2 : 1;
    for (int i = 0; i < copies; ++i) in_flight.emplace(now + 1 + (jitter == 0 ? 0 : random() % jitter), wire);
  }
  std::vector<Wire> arrived(std::uint64_t now) {
    std::vector<Wire> out;
    while (!in_flight.empty() && in_flight.begin()->first <= now) {
      out.push_back(in_flight.begin()->second);
      in_flight.erase(in_flight.begin());
    }
    return out;
  }
};

class ControlConnection {
 public:
  explicit ControlConnection(std::uint64_t seed) : random_(seed) {
    Script script(random_);
    for (std::size_t side = 0; side < 2; ++side) {
      ModelPeer::Options& options = options_[side];
      const std::size_t lines = 1 + below(40);
      options.text = side == 0 ? script.commands(lines) : script.replies(lines);
      options.first =
          below(2) == 0 ? 0U - static_cast<std::uint32_t>(below(2000)) : static_cast<std::uint32_t>(random_());
      options.segment = std::array<std::size_t, 5>{1, 8, 100, 1460, 60000}[below(5)];
      options.again = std::array<std::size_t, 3>{1, 30, 60000}[below(3)];
      options.window = std::array<std::size_t, 3>{60, 2000, 65535}[below(3)];
      options.waits = below(3) == 0;
      options.sack = below(3) != 0;
    }
    peers_[0] = std::make_unique<ModelPeer>(options_[0], options_[1].first);
    peers_[1] = std::make_unique<ModelPeer>(options_[1], options_[0].first);
    for (std::size_t side = 0; side < 2; ++side) peers_[side]->peer_window = options_[1 - side].window;
    for (auto* links : {&before_, &after_}) {
      for (Links& link : *links) {
        if (below(3) != 0) link = {0.05 * static_cast<double>(below(4)), static_cast<unsigned>(below(12)), {}};
      }
    }
  }

  void run() {
    shake_hands();
    for (std::uint64_t now = 1; now < 400000 && !::testing::Test::HasFailure(); ++now) {
      for (std::size_t side = 0; side < 2; ++side) {
        for (const auto& segment : peers_[side]->tick(now, random_)) {
          before_[side].send(peers_[side]->wire(segment), now, random_);
        }
        for (const Wire& wire : before_[side].arrived(now)) {
          if (const auto passed = gateway(static_cast<Direction>(side), wire, 0))
            after_[side].send(*passed, now, random_);
        }
        for (const Wire& wire : after_[side].arrived(now)) peers_[1 - side]->receive(wire, now);
      }
      for (const auto& peer : peers_) ASSERT_EQ(peer->fault, "");
      if (peers_[0]->is_done() && peers_[1]->is_done()) return compare();
    }
    FAIL() << "no end: client received " << peers_[0]->received().size() << ", backend " << peers_[1]->received().size()
           << " of " << rewritten(options_[0].text, Direction::original, naive_).size();
  }

 private:
  std::size_t below(std::size_t limit) { return random_() % limit; }

  void shake_hands() {
    const std::uint32_t client = options_[0].first;
    const std::uint32_t server = options_[1].first;
    TcpSegment syn;
    syn.sequence = client;
    syn.window = 65535;
    syn.flags = tcp::kSyn;
    syn.options.sack_permitted = true;
    track_ = tcp_open(syn);
    ASSERT_TRUE(gateway(Direction::original, {client, 0, "", false, {}}, tcp::kSyn));
    ASSERT_TRUE(gateway(Direction::reply, {server, client + 1, "", false, {}}, tcp::kSyn | tcp::kAck));
    ASSERT_TRUE(gateway(Direction::original, {client + 1, server + 1, "", false, {}}, tcp::kAck));
  }

  PacketBuilder builder(Direction direction, const Wire& wire, std::uint8_t flags) {
    const auto side = static_cast<std::size_t>(direction);
    const auto window = static_cast<std::uint16_t>(options_[side].window);
    PacketBuilder made = direction == Direction::original ? tcp("198.51.100.7:40000", "203.0.113.10:21")
                                                          : tcp("10.0.0.2:21", "203.0.113.14:50000");
    if (flags == 0) flags = static_cast<std::uint8_t>(tcp::kAck | tcp::kPsh | (wire.fin ? tcp::kFin : 0));
    made = made.seq(wire.sequence).win(window).payload(wire.payload);
    if ((flags & tcp::kAck) != 0) made = made.ack(wire.acknowledgement);
    made = made.flags(flags);
    if ((flags & tcp::kSyn) != 0) made = made.sack_permitted();
    const auto& sack = wire.sack;
    if (sack.size() == 1) made = made.sack({sack[0]});
    if (sack.size() == 2) made = made.tcp_option_bytes({1}).sack({sack[0], sack[1]});
    if (sack.size() == 3) made = made.sack({sack[0], sack[1], sack[2]});
    switch (below(4)) {
      case 0:
        return wire.payload.size() > 100 ? made.gso(100) : made.partial_checksum();
      case 1:
        return made.verified();
      default:
        return made;
    }
  }

  std::optional<Wire> gateway(Direction direction, const Wire& wire, std::uint8_t flags) {
    WirePacket built = builder(direction, wire, flags).build();
    Packet packet = built.packet();
    const auto view = parse_packet(packet);
    EXPECT_TRUE(view) << name_of(view.reason());
    TcpSegment segment = TcpSegment::of(view->tcp);
    ftp_restore(state_, direction, segment);
    TcpOutcome outcome = TcpOutcome::accept;
    if (segment.flags != tcp::kSyn) {
      const TcpResult result = tcp_track(track_, direction, segment);
      EXPECT_NE(result.outcome, TcpOutcome::invalid) << name_of(result.reason) << ' ' << describe(packet.bytes);
      outcome = result.outcome;
    }
    const std::string came = describe(packet.bytes);
    const FtpVerdict verdict = ftp_translate(state_, direction, packet, *view, outcome, kNames, expecter_);
    EXPECT_TRUE(ftp_is_sound(state_));
    FtpState adopted;
    std::memcpy(&adopted, &state_, sizeof adopted);
    state_ = adopted;
    if (verdict.drop != Reason::none) {
      EXPECT_EQ(verdict.drop, Reason::helper_busy);
      return std::nullopt;
    }
    EXPECT_EQ(checksum_fault(packet), "") << came << " became " << describe(packet.bytes);
    const auto after = parse_packet(packet);
    EXPECT_TRUE(after) << name_of(after.reason());
    EXPECT_LE(after->tcp.payload_length(), wire.payload.size() + kFtpGrowth);
    const auto payload = after->ip.payload().subspan(after->tcp.header_length());
    Wire passed{after->tcp.sequence(),
                after->tcp.acknowledgement(),
                std::string(payload.begin(), payload.end()),
                after->tcp.has(tcp::kFin),
                {}};
    after->tcp.for_each_option([&](std::uint8_t kind, std::span<const std::uint8_t> value) {
      for (; kind == tcp::kSack && value.size() >= 8; value = value.subspan(8)) {
        passed.sack.emplace_back(load32(value.data()), load32(value.data() + 4));
      }
    });
    EXPECT_EQ(passed.sack.size(), wire.sack.size());
    return passed;
  }

  void compare() {
    ASSERT_EQ(peers_[1]->received(), rewritten(options_[0].text, Direction::original, naive_));
    ASSERT_EQ(peers_[0]->received(), rewritten(options_[1].text, Direction::reply, naive_));
    // Every line asked once, however often it came.
    std::sort(expecter_.asked.begin(), expecter_.asked.end());
    std::sort(naive_.asked.begin(), naive_.asked.end());
    ASSERT_EQ(expecter_.asked, naive_.asked);
  }

  std::mt19937_64 random_;
  std::array<ModelPeer::Options, 2> options_;
  std::array<std::unique_ptr<ModelPeer>, 2> peers_;
  std::array<Links, 2> before_;
  std::array<Links, 2> after_;
  TcpTrack track_;
  FtpState state_{};
  ModelExpecter expecter_;
  ModelExpecter naive_;
};

TEST(FtpStream, Fault20_each_side_receives_the_other_sides_lines_rewritten) {
  for (std::uint64_t seed = 1; seed <= 300 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ControlConnection(seed).run();
  }
}

}  // namespace
}  // namespace vipgate::test
