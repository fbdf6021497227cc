#include "nat/ftp.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "nat/ftp_model.h"
#include "support/parse_packet.h"

namespace vipgate::test {
namespace {

using enum Direction;
using Bytes = std::vector<std::uint8_t>;
using Asked = std::vector<std::pair<DataOpener, Endpoint>>;

/// What the receiver gets of a segment.
struct Seen {
  Reason drop = Reason::none;
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgement = 0;
  std::uint8_t flags = 0;
  std::string text;
  std::uint16_t urgent = 0;
  Packet packet;  ///< refers to the control connection's memory, until its next packet
};

/// A control connection after its handshake. The client's first byte has the number 1000, the server's 5000.
class Control {
 public:
  Control() {
    send(original, packet(original).syn().seq(999));
    send(reply, packet(reply).syn().seq(4999).ack(1000));
    send(original, packet(original).seq(1000).ack(5000));
  }

  FtpState state{};
  ModelExpecter expecter;
  int announced = 0;
  int refused = 0;

  static PacketBuilder packet(Direction direction) {
    return direction == original ? tcp("198.51.100.7:40000", "203.0.113.10:21")
                                 : tcp("10.0.0.2:21", "203.0.113.14:50000");
  }

  Seen send(Direction direction, const PacketBuilder& builder, TcpOutcome outcome = TcpOutcome::accept) {
    memory_.emplace(builder.build());
    Packet sent = memory_->packet();
    const auto view = parse_packet(sent);
    EXPECT_TRUE(view) << name_of(view.reason());
    const bool was_right = checksum_fault(sent).empty();
    const FtpVerdict verdict = ftp_translate(state, direction, sent, *view, outcome, kNames, expecter);
    announced += verdict.announced;
    refused += verdict.refused;
    EXPECT_TRUE(ftp_is_sound(state));
    if (verdict.drop != Reason::none) return {.drop = verdict.drop, .text = {}, .packet = {}};
    EXPECT_EQ(checksum_fault(sent).empty(), was_right) << checksum_fault(sent);
    const auto after = TcpView::parse(Ipv4View::parse(sent.bytes)->payload());
    const auto text = sent.bytes.last(after->payload_length());
    return {Reason::none,
            after->sequence(),
            after->acknowledgement(),
            after->flags(),
            {text.begin(), text.end()},
            load16(sent.bytes.data() + 20 + tcp::kUrgent),
            sent};
  }

  /// The side's next bytes.
  Seen client(std::string_view text) { return next(original, text); }
  Seen server(std::string_view text) { return next(reply, text); }
  /// Bytes of the side from a sequence number on.
  Seen client_at(std::uint32_t sequence, std::string_view text) {
    return send(original, packet(original).seq(sequence).ack(5000).psh().payload(text));
  }
  Seen server_at(std::uint32_t sequence, std::string_view text) {
    return send(reply, packet(reply).seq(sequence).ack(1000).psh().payload(text));
  }
  /// An empty segment of the other side that acknowledges; what it acknowledges when it arrives.
  std::uint32_t acknowledge_client(std::uint32_t number) {
    return send(reply, packet(reply).seq(next_[1]).ack(number)).acknowledgement;
  }
  std::uint32_t acknowledge_server(std::uint32_t number) {
    return send(original, packet(original).seq(next_[0]).ack(number)).acknowledgement;
  }
  std::uint32_t& next_of(Direction direction) { return next_[static_cast<std::size_t>(direction)]; }

 private:
  Seen next(Direction direction, std::string_view text) {
    std::uint32_t& number = next_of(direction);
    const std::uint32_t sequence = number;
    number += static_cast<std::uint32_t>(text.size());
    return direction == original ? client_at(sequence, text) : server_at(sequence, text);
  }

  std::optional<WirePacket> memory_;
  std::uint32_t next_[2] = {1000, 5000};
};

/// What is announced for a port, as PORT and 227 write it. For the client's 1024 it is two bytes longer.
std::string announced_to(DataOpener opener, std::uint16_t port) {
  const Endpoint target{opener == DataOpener::client ? kNames.backend : kNames.client, port};
  const Endpoint answer = *ModelExpecter::answer(opener, target);
  std::string text = answer.address.to_string();
  std::replace(text.begin(), text.end(), '.', ',');
  return text + "," + std::to_string(answer.port >> 8) + "," + std::to_string(answer.port & 0xff);
}
std::string port_for_client(std::uint16_t port) {
  return std::to_string(ModelExpecter::answer(DataOpener::client, {kNames.backend, port})->port);
}

TEST(Ftp, Rfc959_passive_reply_announces_a_port_of_the_vip) {
  Control control;
  EXPECT_EQ(control.server("227 Entering Passive Mode (10,0,0,2,156,64).\r\n").text,
            "227 Entering Passive Mode (" + announced_to(DataOpener::client, 40000) + ").\r\n");
  EXPECT_EQ(control.expecter.asked, (Asked{{DataOpener::client, endpoint("10.0.0.2:40000")}}));
  EXPECT_EQ(control.announced, 1);
}

TEST(Ftp, Rfc959_passive_reply_of_a_server_that_knows_the_vip_or_says_no_address) {
  for (const char* named : {"203,0,113,10", "0,0,0,0"}) {
    Control control;
    EXPECT_EQ(control.server("227 =" + std::string(named) + ",156,64\r\n").text,
              "227 =" + announced_to(DataOpener::client, 40000) + "\r\n");
    EXPECT_EQ(control.expecter.asked, (Asked{{DataOpener::client, endpoint("10.0.0.2:40000")}}));
  }
}

TEST(Ftp, Rfc2428_extended_passive_reply_announces_a_port) {
  Control control;
  EXPECT_EQ(control.server("229 Entering Extended Passive Mode (|||1032|)\r\n").text,
            "229 Entering Extended Passive Mode (|||" + port_for_client(1032) + "|)\r\n");
}

TEST(Ftp, Rfc959_port_names_the_client_as_the_backend_knows_it) {
  Control control;
  EXPECT_EQ(control.client("PORT 198,51,100,7,4,0\r\n").text,
            "PORT " + announced_to(DataOpener::backend, 1024) + "\r\n");
  EXPECT_EQ(control.expecter.asked, (Asked{{DataOpener::backend, endpoint("198.51.100.7:1024")}}));
}

TEST(Ftp, Rfc2428_eprt_names_the_client_as_the_backend_knows_it) {
  Control control;
  const Endpoint answer = *ModelExpecter::answer(DataOpener::backend, endpoint("198.51.100.7:40000"));
  EXPECT_EQ(control.client("eprt |1|198.51.100.7|40000|\r\n").text,
            "eprt |1|203.0.113.14|" + std::to_string(answer.port) + "|\r\n");
  EXPECT_EQ(control.client("EPRT |2|2001:db8::7|40000|\r\n").text, "EPRT |2|2001:db8::7|40000|\r\n");
  EXPECT_EQ(control.expecter.asked.size(), 1u);
}

TEST(Ftp, Rfc2577_port_of_a_third_party_or_below_1024_is_made_useless) {
  const std::pair<const char*, const char*> lines[] = {
      {"PORT 198,51,100,8,156,64\r\n", "PORT 0,0,0,0,0,0\r\n"},
      {"PORT 10,0,0,3,156,64\r\n", "PORT 0,0,0,0,0,0\r\n"},
      {"PORT 198,51,100,7,3,255\n", "PORT 0,0,0,0,0,0\n"},
      {"EPRT |1|198.51.100.70|40000|\r\n", "EPRT |1|0.0.0.0|0|\r\n"},
      {"EPRT !1!198.51.100.7!1023!\r\n", "EPRT !1!0.0.0.0!0!\r\n"},
      {"PORT 0,0,0,0,0,0\r\n", "PORT 0,0,0,0,0,0\r\n"},
  };
  for (const auto& [sent, received] : lines) {
    Control control;
    EXPECT_EQ(control.client(sent).text, received);
    EXPECT_TRUE(control.expecter.asked.empty());
    EXPECT_EQ(control.refused, 1);
    EXPECT_EQ(control.announced, 0);
  }
}

TEST(Ftp, Cve2001_0405_passive_reply_that_names_a_third_party_opens_nothing) {
  for (const char* line : {"227 (10,0,0,3,156,64)\r\n", "227 (198,51,100,7,4,0)\r\n", "227 (10,0,0,2,3,255)\r\n",
                           "227 (10,0,0,20,156,64)\r\n", "227 (110,0,0,2,156,64)\r\n", "229 (|||1023|)\r\n"}) {
    Control control;
    EXPECT_EQ(control.server(line).text, line);
    EXPECT_TRUE(control.expecter.asked.empty());
    EXPECT_EQ(control.refused, 1);
  }
}

TEST(Ftp, without_a_free_port_a_line_is_refused) {
  Control control;
  EXPECT_EQ(control.server("229 (|||1027|)\r\n").text, "229 (|||1027|)\r\n");
  EXPECT_EQ(control.client("PORT 198,51,100,7,4,3\r\n").text, "PORT 0,0,0,0,0,0\r\n");
  EXPECT_EQ(control.expecter.asked.size(), 2u);
  EXPECT_EQ(control.refused, 2);
}

TEST(Ftp, Cve2022_2663_only_whole_lines_of_the_right_side_count) {
  for (const char* line :
       {"NOOP PORT 198,51,100,7,4,0\r\n", " PORT 198,51,100,7,4,0\r\n", "PORT 198,51,100,7,4,0 x\r\n",
        "PORT 198,51,100,7,4,0\rPORT\r\n", "POST / HTTP/1.1\r\nX: PORT 198,51,100,7,4,0\r\n",
        "227 Entering Passive Mode (10,0,0,2,156,64).\r\n", "229 (|||40000|)\r\n", "XPORT 198,51,100,7,4,0\r\n"}) {
    Control control;
    EXPECT_EQ(control.client(line).text, line);
    EXPECT_TRUE(control.expecter.asked.empty()) << line;
  }
  for (const char* line : {"PORT 10,0,0,2,156,64\r\n", "220 227 (10,0,0,2,156,64)\r\n", "2270 (10,0,0,2,156,64)\r\n",
                           "227-(10,0,0,2,156,64)\r\n", "211-x\r\n227 (10,0,0,2,156,64)\r\n211-229 (|||40000|)\r\n",
                           " 227 (10,0,0,2,156,64)\r\n", "227 (10,0,0,2,156\r\n64)\r\n"}) {
    Control control;
    EXPECT_EQ(control.server(line).text, line);
    EXPECT_TRUE(control.expecter.asked.empty()) << line;
  }
}

TEST(Ftp, Rfc959_last_line_of_a_multi_line_reply_counts) {
  Control control;
  const std::string own = "(10,0,0,2,156,64)\r\n";
  const std::string announced = "(" + announced_to(DataOpener::client, 40000) + ")\r\n";
  EXPECT_EQ(control.server("227-Two lines\r\n227 " + own).text, "227-Two lines\r\n227 " + announced);
  EXPECT_EQ(control.server("211-a\r\n227 " + own + "211 b\r\n227 " + own).text,
            "211-a\r\n227 " + own + "211 b\r\n227 " + announced);
}

TEST(Ftp, segment_at_its_start_is_no_line) {
  Control control;
  control.server("550 no such file: ");
  EXPECT_EQ(control.server("227 (10,0,0,2,156,64)\r\n").text, "227 (10,0,0,2,156,64)\r\n");
  EXPECT_TRUE(control.expecter.asked.empty());
}

TEST(Ftp, Cve2025_68206_what_follows_a_rewritten_line_is_shifted_both_ways) {
  Control control;
  const std::string sent = "227 (10,0,0,2,156,64)\r\n";
  const std::string received = control.server(sent).text;
  const auto growth = static_cast<std::uint32_t>(received.size() - sent.size());
  ASSERT_NE(growth, 0u);
  const std::uint32_t end = 5000 + static_cast<std::uint32_t>(sent.size());
  EXPECT_EQ(control.server("150 Ok\r\n").sequence, end + growth);
  EXPECT_EQ(control.acknowledge_server(end + growth), end);
  EXPECT_EQ(control.acknowledge_server(end + growth + 8), end + 8);
  // A second time, on top of the first.
  EXPECT_EQ(control.server(sent).sequence, end + 8 + growth);
  EXPECT_EQ(control.server("150 Ok\r\n").sequence, end + 8 + sent.size() + 2 * growth);
  EXPECT_EQ(control.acknowledge_server(end + 16 + static_cast<std::uint32_t>(sent.size()) + 2 * growth),
            end + 16 + sent.size());
}

TEST(Ftp, Cve2003_0467_sack_edges_are_shifted_too) {
  Control control;
  const std::string sent = "227 (10,0,0,2,156,64)\r\n";
  const auto growth = static_cast<std::uint32_t>(control.server(sent).text.size() - sent.size());
  const std::uint32_t end = 5000 + static_cast<std::uint32_t>(sent.size());
  control.server("150 Ok\r\n");
  const auto report = Control::packet(original).seq(1000).ack(5000).tcp_option_bytes({1}).sack(
      {{end + growth, end + growth + 8}, {5003, 5010}, {5008, 5010}});
  const Seen seen = control.send(original, report);
  const auto view = TcpView::parse(Ipv4View::parse(seen.packet.bytes)->payload());
  std::vector<std::uint32_t> edges;
  view->for_each_option([&](std::uint8_t kind, std::span<const std::uint8_t> value) {
    for (; kind == tcp::kSack && value.size() >= 4; value = value.subspan(4)) edges.push_back(load32(value.data()));
  });
  // The interval begins at 5005; of its text the receiver has but a part.
  EXPECT_EQ(edges, (std::vector<std::uint32_t>{end, end + 8, 5003, 5005, 5005, 5005}));

  Control quiet;
  TcpSegment segment;
  segment.flags = tcp::kAck;
  segment.acknowledgement = 5000;
  segment.options.sack_high = end + growth + 8;
  ftp_restore(control.state, original, segment);
  EXPECT_EQ(segment.options.sack_high, end + 8);
  EXPECT_EQ(segment.acknowledgement, 5000u);
}

TEST(Ftp, Fault20_line_is_rewritten_alike_however_it_is_cut_and_sent_again) {
  const std::string sent = "NOOP\r\nPORT 198,51,100,7,4,0\r\nNOOP\r\n";
  const std::string received = "NOOP\r\nPORT " + announced_to(DataOpener::backend, 1024) + "\r\nNOOP\r\n";
  for (std::size_t cut = 1; cut < sent.size(); ++cut) {
    Control control;
    const Seen first = control.client(sent.substr(0, cut));
    const Seen second = control.client(sent.substr(cut));
    EXPECT_EQ(first.text + second.text, received) << cut;
    EXPECT_EQ(second.sequence, 1000 + first.text.size()) << cut;
    // All of it once more, whole and cut elsewhere.
    EXPECT_EQ(control.client_at(1000, sent).text, received);
    for (std::size_t other = 1; other < sent.size(); ++other) {
      const std::string again = control.client_at(1000, std::string_view(sent).substr(0, other)).text +
                                control.client_at(1000 + static_cast<std::uint32_t>(other), sent.substr(other)).text;
      EXPECT_EQ(again, received) << cut << ' ' << other;
    }
    EXPECT_EQ(control.expecter.asked.size(), 1u);
  }
}

TEST(Ftp, Fault20_two_lines_in_one_segment) {
  Control control;
  EXPECT_EQ(control.client("PORT 198,51,100,7,4,0\r\nPORT 198,51,100,7,4,8\r\n").text,
            "PORT " + announced_to(DataOpener::backend, 1024) + "\r\nPORT " + announced_to(DataOpener::backend, 1032) +
                "\r\n");
  EXPECT_EQ(control.expecter.asked.size(), 2u);
}

TEST(Ftp, Fault20_line_sent_byte_by_byte_goes_on_although_it_is_held) {
  Control control;
  const std::string sent = "PORT 198,51,100,7,4,0\r\n";
  std::string received;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    const auto end = static_cast<std::uint32_t>(1000 + i + 1);
    const Seen seen = control.client(sent.substr(i, 1));
    received += seen.text;
    if (i >= 5 && i + 1 < sent.size()) {
      EXPECT_EQ(seen.text, "");
      EXPECT_EQ(seen.sequence, 1004u);  // RFC 9293 §3.8.4: old, so that it is answered
    }
    // The sender may go on after each byte (Nagle).
    EXPECT_EQ(control.acknowledge_client(static_cast<std::uint32_t>(1000 + received.size())), end);
  }
  EXPECT_EQ(received, "PORT " + announced_to(DataOpener::backend, 1024) + "\r\n");
}

TEST(Ftp, Fault20_held_line_that_turns_out_to_be_nothing_is_delivered) {
  for (const char* line : {"PORT 198,51,100,x\r\n", "PORT 198,51,100,7,4,0,1\r\n", "EPRT |2|::1|1|\r\n", "PORT \r\n",
                           "EPRT |1|aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
                           "PORT 1                                                 \r\n"}) {
    Control control;
    std::string received;
    for (const char* at = line; *at != 0; ++at) received += control.client({at, 1}).text;
    EXPECT_EQ(received, line);
  }
}

TEST(Ftp, line_that_grows_too_long_is_delivered) {
  const std::string line = "PORT 198,51,100,7,4,0" + std::string(40, ' ') + "\r\n";
  Control whole;
  EXPECT_EQ(whole.client(line).text, line);
  EXPECT_TRUE(whole.expecter.asked.empty());
  Control control;
  std::string received;
  for (const char& byte : line) received += control.client({&byte, 1}).text;
  EXPECT_EQ(received, line);
}

TEST(Ftp, probe_of_a_sender_whose_line_is_held_stays_old) {
  Control control;
  control.client("PORT 198,5");
  EXPECT_EQ(control.client_at(1009, "").sequence, 1004u);
  EXPECT_EQ(control.client_at(1010, "").sequence, 1005u);  // an ordinary acknowledgement
}

TEST(Ftp, Fault20_segment_behind_a_lost_one_waits) {
  Control control;
  EXPECT_EQ(control.client_at(1010, "PORT 198,51,100,7,4,0\r\n").drop, Reason::helper_busy);
  EXPECT_EQ(control.send(original, Control::packet(original).seq(1010).ack(5000).fin()).drop, Reason::helper_busy);
  EXPECT_EQ(control.send(original, Control::packet(original).seq(1010).ack(5000)).drop, Reason::none);
  EXPECT_EQ(control.send(original, Control::packet(original).seq(1010).rst()).drop, Reason::none);
  EXPECT_TRUE(control.expecter.asked.empty());
  EXPECT_EQ(control.client("USER a\r\n\r\n").drop, Reason::none);
  EXPECT_EQ(control.client("PORT 198,51,100,7,4,0\r\n").drop, Reason::none);
  EXPECT_EQ(control.expecter.asked.size(), 1u);
}

TEST(Ftp, lines_wait_when_too_many_are_not_acknowledged) {
  Control control;
  const std::string line = "PORT 198,51,100,7,4,0\r\n";
  const std::string announced = "PORT " + announced_to(DataOpener::backend, 1024) + "\r\n";
  for (std::size_t i = 1; i < StreamEdits::kPlaces; ++i) EXPECT_EQ(control.client(line).text, announced);
  // A segment with two more goes on up to where the second must change; what its FIN follows comes later.
  const std::uint32_t next = control.next_of(original);
  const auto rest = Control::packet(original).seq(next).ack(5000).psh().fin();
  const Seen cut = control.send(original, rest.payload(line + line));
  EXPECT_EQ(cut.text, announced + "PORT ");
  EXPECT_EQ(cut.flags & tcp::kFin, 0);
  const std::uint32_t held_up = next + static_cast<std::uint32_t>(line.size()) + 5;
  EXPECT_EQ(control.client_at(held_up, line.substr(5)).drop, Reason::helper_busy);
  EXPECT_EQ(control.expecter.asked.size(), 4u);
  control.acknowledge_client(1000 + static_cast<std::uint32_t>(announced.size()));
  EXPECT_EQ(control.client_at(held_up, line.substr(5)).text, announced.substr(5));
  EXPECT_EQ(control.expecter.asked.size(), 5u);
}

TEST(Ftp, Rfc4217_nothing_is_read_after_tls_began) {
  Control control;
  const std::string sent = "PORT 198,51,100,7,4,0\r\n";
  const std::string received = control.client(sent).text;
  control.client("AUTH TLS\r\n");
  EXPECT_EQ(control.server("234 Go\r\n229 (|||40000|)\r\n").text, "234 Go\r\n229 (|||40000|)\r\n");
  EXPECT_EQ(control.server("229 (|||40000|)\r\n").text, "229 (|||40000|)\r\n");
  const Seen seen = control.client(sent);
  EXPECT_EQ(seen.text, sent);
  EXPECT_EQ(seen.sequence, 1000 + received.size() + 10);
  EXPECT_EQ(control.expecter.asked.size(), 1u);
  // Holes do not matter any more.
  EXPECT_EQ(control.client_at(2000, "x").drop, Reason::none);
}

TEST(Ftp, Rfc4217_what_was_held_when_tls_began_is_delivered) {
  Control control;
  control.client("PORT 198,5");
  control.server("234 Go\r\n");
  EXPECT_EQ(control.client("\x16\x03").text, "198,5\x16\x03");
  EXPECT_EQ(control.client_at(1009, "5\x16").text, "198,5\x16");
}

TEST(Ftp, no_other_reply_begins_tls) {
  Control control;
  control.server("220-a\r\n234 b\r\n220 c\r\n2345\r\n234-d\r\n");
  EXPECT_EQ(control.state.flags & FtpState::kSecured, 0);
  control.server("234 e\r\n");
  EXPECT_NE(control.state.flags & FtpState::kSecured, 0);
}

TEST(Ftp, fin_and_reset_are_shifted) {
  Control control;
  const std::string sent = "QUIT\r\nPORT 198,51,100,7,4,0\r\n";
  const auto size = static_cast<std::uint32_t>(sent.size());
  const auto growth = static_cast<std::uint32_t>(control.client(sent).text.size()) - size;
  const Seen fin = control.send(original, Control::packet(original).seq(1000 + size).ack(5000).fin());
  EXPECT_EQ(fin.sequence, 1000 + size + growth);
  EXPECT_NE(fin.flags & tcp::kFin, 0);
  EXPECT_EQ(control.acknowledge_client(1000 + size + growth + 1), 1000 + size + 1);
  const auto reset = Control::packet(original).seq(1000 + size + 1).rst();
  EXPECT_EQ(control.send(original, reset).sequence, 1000 + size + growth + 1);
}

TEST(Ftp, fin_behind_a_held_line_passes_and_the_line_does_not) {
  Control control;
  control.client("PORT 198,5");
  const auto end = Control::packet(original).seq(1010).ack(5000).fin();
  const Seen fin = control.send(original, end);
  EXPECT_EQ(fin.sequence, 1005u);
  EXPECT_EQ(fin.text, "");
  EXPECT_EQ(control.send(original, end).sequence, 1005u);
  EXPECT_EQ(control.client_at(1007, "8,5").sequence, 1004u);
  EXPECT_EQ(control.acknowledge_client(1005), 1010u);
  EXPECT_EQ(control.acknowledge_client(1006), 1011u);
  EXPECT_EQ(control.client_at(1011, "1,100,7,4,0\r\n").drop, Reason::none);  // who sends on after that is lost
  EXPECT_TRUE(control.expecter.asked.empty());
}

TEST(Ftp, state_that_came_after_the_handshake_knows_where_lines_begin) {
  Control control;
  ftp_open(control.state, 1000, 5000);
  EXPECT_EQ(control.client("PORT 198,51,100,7,4,0\r\n").text,
            "PORT " + announced_to(DataOpener::backend, 1024) + "\r\n");
  EXPECT_EQ(control.server("229 (|||1032|)\r\n").text, "229 (|||" + port_for_client(1032) + "|)\r\n");
  EXPECT_EQ(control.server_at(5100, "229 (|||1032|)\r\n").drop, Reason::helper_busy);
}

TEST(Ftp, connection_joined_in_a_line_is_read_from_the_next_on) {
  Control control;
  control.state = {};
  EXPECT_EQ(control.client("PORT 198,51,100,7,4,0\r\n").text, "PORT 198,51,100,7,4,0\r\n");
  EXPECT_EQ(control.client("PORT 198,51,100,7,4,0\r\n").text,
            "PORT " + announced_to(DataOpener::backend, 1024) + "\r\n");
  // Of the server it is known from the client's acknowledgement what comes next.
  EXPECT_EQ(control.server_at(5008, "0\r\n").drop, Reason::helper_busy);
  EXPECT_EQ(control.server("227 (10,0,0,2,156,64)\r\n").text, "227 (10,0,0,2,156,64)\r\n");
}

TEST(Ftp, bytes_that_passed_unseen_are_skipped_when_they_are_acknowledged) {
  Control control;
  control.client("NOOP\r\n");
  control.acknowledge_client(1100);
  EXPECT_EQ(control.client_at(1100, "PORT 198,51,100,7,4,0\r\nNOOP\r\n").text, "PORT 198,51,100,7,4,0\r\nNOOP\r\n");
  EXPECT_TRUE(control.expecter.asked.empty());
}

TEST(Ftp, acknowledgement_that_the_tracker_doubts_changes_nothing) {
  Control control;
  control.client("NOOP\r\n");
  control.send(reply, Control::packet(reply).seq(5000).ack(1100), TcpOutcome::ignore);
  EXPECT_EQ(control.client("NOOP\r\n").drop, Reason::none);
  EXPECT_EQ(control.state.edits_of(original).next, 1012u);
}

TEST(Ftp, Fault19_syn_that_the_tracker_doubts_changes_nothing) {
  Control control;
  control.client("PORT 198,51,100,7,4,0\r\nPORT 1");
  const FtpState before = control.state;
  control.send(original, Control::packet(original).syn().seq(77), TcpOutcome::ignore);
  control.send(reply, Control::packet(reply).syn().seq(77).ack(1), TcpOutcome::ignore);
  EXPECT_EQ(std::memcmp(&before, &control.state, sizeof before), 0);
}

TEST(Ftp, of_several_syns_the_answered_one_counts) {
  Control control;
  control.state = {};
  control.send(original, Control::packet(original).syn().seq(999));
  control.send(original, Control::packet(original).syn().seq(1999), TcpOutcome::ignore);
  control.send(reply, Control::packet(reply).syn().seq(4999).ack(2000));
  EXPECT_EQ(control.client_at(2000, "PORT 198,51,100,7,4,0\r\n").text,
            "PORT " + announced_to(DataOpener::backend, 1024) + "\r\n");
}

TEST(Ftp, Rfc7413_data_in_a_syn_is_not_read) {
  Control control;
  control.state = {};
  const std::string line = "PORT 198,51,100,7,4,0\r\n";
  EXPECT_EQ(control.send(original, Control::packet(original).syn().seq(999).payload("NOOP ")).text, "NOOP ");
  control.send(reply, Control::packet(reply).syn().seq(4999).ack(1005));
  EXPECT_EQ(control.client_at(1005, line + line).text,
            line + "PORT " + announced_to(DataOpener::backend, 1024) + "\r\n");
}

TEST(Ftp, numbers_for_errors_and_resets_of_our_own) {
  Control control;
  const std::string sent = "227 (10,0,0,2,156,64)\r\n";
  const auto size = static_cast<std::uint32_t>(sent.size());
  const auto growth = static_cast<std::uint32_t>(control.server(sent).text.size()) - size;
  EXPECT_EQ(ftp_sequence_for_receiver(control.state, reply, 5000 + size), 5000 + size + growth);
  EXPECT_EQ(ftp_sequence_for_sender(control.state, reply, 5000 + size + growth), 5000 + size);
  EXPECT_EQ(ftp_sequence_for_sender(control.state, reply, 5000), 5000u);
  EXPECT_EQ(ftp_sequence_for_receiver(control.state, original, 1000), 1000u);
}

TEST(Ftp, urgent_pointer_follows_its_byte) {
  Control control;
  const std::string sent = "PORT 198,51,100,7,4,0\r\nABOR\r\n";
  // The bytes of the pointer are 38 and 39 of the packet.
  const auto packet = Control::packet(original).seq(1000).ack(5000).urg().payload(sent);
  const Seen seen = control.send(original, packet.byte(39, static_cast<std::uint8_t>(sent.size())));
  EXPECT_EQ(seen.urgent, seen.text.size());
  EXPECT_NE(seen.text.size(), sent.size());
}

TEST(Ftp, packet_of_a_connection_without_edits_stays_as_it_is) {
  Control control;
  const auto packet = Control::packet(original).seq(1000).ack(5000).psh().payload("RETR file\r\n");
  const Seen seen = control.send(original, packet);
  const WirePacket same = packet.build();
  EXPECT_TRUE(std::equal(seen.packet.bytes.begin(), seen.packet.bytes.end(), same.bytes().begin(), same.bytes().end()));
}

TEST(Ftp, Fault15_wrong_checksum_stays_wrong_by_the_same) {
  Control control;
  const auto packet = Control::packet(original).seq(1000).ack(5000).payload("PORT 198,51,100,7,4,0\r\n");
  WirePacket wrong = packet.wrong_checksum().build();
  Packet sent{.bytes = wrong.bytes(), .virtio = {.flags = VirtioHeader::kDataValid}};
  const std::uint16_t before = naive_transport_sum(sent.bytes);
  const auto view = parse_packet(sent);
  ASSERT_TRUE(view);
  ftp_translate(control.state, original, sent, *view, TcpOutcome::accept, kNames, control.expecter);
  EXPECT_NE(before, 0xffff);
  EXPECT_EQ(naive_transport_sum(sent.bytes), before);
}

TEST(Ftp, largest_super_packet_loses_its_tail_not_its_line) {
  Control control;
  const std::string line = "PORT 198,51,100,7,4,0\r\n";
  const std::string announced = "PORT " + announced_to(DataOpener::backend, 1024) + "\r\n";
  ASSERT_GT(announced.size(), line.size());
  const std::string sent = line + std::string(kMaxPacketSize - 40 - line.size(), 'x');
  const Seen seen = control.send(original, Control::packet(original).seq(1000).ack(5000).fin().payload(sent).gso(1400));
  EXPECT_EQ(seen.packet.bytes.size(), kMaxPacketSize);
  EXPECT_EQ(seen.text, (announced + sent.substr(line.size())).substr(0, kMaxPacketSize - 40));
  EXPECT_EQ(seen.flags & tcp::kFin, 0);
  EXPECT_EQ(seen.packet.virtio.gso_size, 1400);
  // The tail comes again, and then its FIN too.
  const auto lost = static_cast<std::uint32_t>(announced.size() - line.size());
  const auto again = Control::packet(original).seq(1000 + static_cast<std::uint32_t>(sent.size()) - lost).ack(5000);
  const Seen tail = control.send(original, again.fin().payload(std::string(lost, 'x')));
  EXPECT_EQ(tail.sequence, 1000 + kMaxPacketSize - 40);
  EXPECT_NE(tail.flags & tcp::kFin, 0);
}

TEST(Ftp, super_packet_that_becomes_small_is_none_any_more) {
  Control control;
  control.client("PORT ");
  auto packet = Control::packet(original).seq(1005).ack(5000).payload("198,51,100,7,156").gso(10);
  Seen seen = control.send(original, packet);
  EXPECT_EQ(seen.text, "");
  EXPECT_EQ(seen.packet.virtio.gso_type, VirtioHeader::kGsoNone);
  EXPECT_EQ(seen.packet.virtio.flags, VirtioHeader::kNeedsChecksum);
  // A hint of how much is header may count payload that is gone.
  WirePacket hinted = packet.build();
  Packet sent = hinted.packet();
  sent.virtio.header_length = 50;
  const auto view = parse_packet(sent);
  ftp_translate(control.state, original, sent, *view, TcpOutcome::accept, kNames, control.expecter);
  EXPECT_EQ(sent.virtio.header_length, 40);
}

TEST(Ftp, Cve2020_7454_line_that_ends_anywhere_is_read_no_further) {
  for (const std::string line : {"227 Entering Passive Mode (10,0,0,2,156,64).\r\n", "229 (|||40000|)\r\n"}) {
    for (std::size_t length = 1; length <= line.size(); ++length) {
      Control control;
      const Seen seen = control.server(line.substr(0, length));
      EXPECT_EQ(seen.drop, Reason::none);
      EXPECT_LE(seen.text.size(), length + kFtpGrowth);
    }
  }
}

TEST(Ftp, record_that_would_lead_astray_is_not_sound) {
  Control control;
  control.client("PORT 198,5");
  const auto unsound = [&](auto spoil) {
    FtpState state = control.state;
    spoil(state);
    return !ftp_is_sound(state);
  };
  EXPECT_FALSE(unsound([](FtpState&) {}));
  EXPECT_TRUE(ftp_is_sound(FtpState{}));
  EXPECT_TRUE(unsound([](FtpState& state) { state.edits[0].count = 9; }));
  EXPECT_TRUE(unsound([](FtpState& state) { state.edits[1].holding = 1; }));
  EXPECT_TRUE(unsound([](FtpState& state) { state.lines[0].phase = FtpLine::Phase::text; }));
  EXPECT_TRUE(unsound([](FtpState& state) { state.lines[1].phase = FtpLine::Phase::argument; }));
  EXPECT_TRUE(unsound([](FtpState& state) { state.lines[1].phase = static_cast<FtpLine::Phase>(9); }));
  EXPECT_TRUE(unsound([](FtpState& state) { state.lines[1].kind = static_cast<FtpLineKind>(9); }));
  EXPECT_TRUE(unsound([](FtpState& state) { state.lines[1].head_length = 5; }));
}

}  // namespace
}  // namespace vipgate::test
