// What becomes of segments whose lines change: numbers, cuts, lengths, checksums.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "nat/ftp_control.h"

namespace vipgate::test {
namespace {

using enum Direction;

TEST(FtpSegments, Cve2025_68206_what_follows_a_rewritten_line_is_shifted_both_ways) {
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

TEST(FtpSegments, Cve2003_0467_sack_edges_are_shifted_too) {
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

TEST(FtpSegments, Fault20_line_is_rewritten_alike_however_it_is_cut_and_sent_again) {
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

TEST(FtpSegments, Fault20_line_sent_byte_by_byte_goes_on_although_it_is_held) {
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

TEST(FtpSegments, probe_of_a_sender_whose_line_is_held_stays_old) {
  Control control;
  control.client("PORT 198,5");
  EXPECT_EQ(control.client_at(1009, "").sequence, 1004u);
  EXPECT_EQ(control.client_at(1010, "").sequence, 1005u);  // an ordinary acknowledgement
}

TEST(FtpSegments, Fault20_segment_behind_a_lost_one_waits) {
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

TEST(FtpSegments, lines_wait_when_too_many_are_not_acknowledged) {
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

TEST(FtpSegments, fin_and_reset_are_shifted) {
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

TEST(FtpSegments, fin_behind_a_held_line_passes_and_the_line_does_not) {
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

TEST(FtpSegments, bytes_that_passed_unseen_are_skipped_when_they_are_acknowledged) {
  Control control;
  control.client("NOOP\r\n");
  control.acknowledge_client(1100);
  EXPECT_EQ(control.client_at(1100, "PORT 198,51,100,7,4,0\r\nNOOP\r\n").text, "PORT 198,51,100,7,4,0\r\nNOOP\r\n");
  EXPECT_TRUE(control.expecter.asked.empty());
}

TEST(FtpSegments, acknowledgement_that_the_tracker_doubts_changes_nothing) {
  Control control;
  control.client("NOOP\r\n");
  control.send(reply, Control::packet(reply).seq(5000).ack(1100), TcpOutcome::ignore);
  EXPECT_EQ(control.client("NOOP\r\n").drop, Reason::none);
  EXPECT_EQ(control.state.edits_of(original).next, 1012u);
}

TEST(FtpSegments, Fault19_syn_that_the_tracker_doubts_changes_nothing) {
  Control control;
  control.client("PORT 198,51,100,7,4,0\r\nPORT 1");
  const FtpState before = control.state;
  control.send(original, Control::packet(original).syn().seq(77), TcpOutcome::ignore);
  control.send(reply, Control::packet(reply).syn().seq(77).ack(1), TcpOutcome::ignore);
  EXPECT_EQ(std::memcmp(&before, &control.state, sizeof before), 0);
}

TEST(FtpSegments, of_several_syns_the_answered_one_counts) {
  Control control;
  control.state = {};
  control.send(original, Control::packet(original).syn().seq(999));
  control.send(original, Control::packet(original).syn().seq(1999), TcpOutcome::ignore);
  control.send(reply, Control::packet(reply).syn().seq(4999).ack(2000));
  EXPECT_EQ(control.client_at(2000, "PORT 198,51,100,7,4,0\r\n").text,
            "PORT " + announced_to(DataOpener::backend, 1024) + "\r\n");
}

TEST(FtpSegments, numbers_for_errors_and_resets_of_our_own) {
  Control control;
  const std::string sent = "227 (10,0,0,2,156,64)\r\n";
  const auto size = static_cast<std::uint32_t>(sent.size());
  const auto growth = static_cast<std::uint32_t>(control.server(sent).text.size()) - size;
  EXPECT_EQ(ftp_sequence_for_receiver(control.state, reply, 5000 + size), 5000 + size + growth);
  EXPECT_EQ(ftp_sequence_for_sender(control.state, reply, 5000 + size + growth), 5000 + size);
  EXPECT_EQ(ftp_sequence_for_sender(control.state, reply, 5000), 5000u);
  EXPECT_EQ(ftp_sequence_for_receiver(control.state, original, 1000), 1000u);
}

TEST(FtpSegments, urgent_pointer_follows_its_byte) {
  Control control;
  const std::string sent = "PORT 198,51,100,7,4,0\r\nABOR\r\n";
  // The bytes of the pointer are 38 and 39 of the packet.
  const auto packet = Control::packet(original).seq(1000).ack(5000).urg().payload(sent);
  const Seen seen = control.send(original, packet.byte(39, static_cast<std::uint8_t>(sent.size())));
  EXPECT_EQ(seen.urgent, seen.text.size());
  EXPECT_NE(seen.text.size(), sent.size());
}

TEST(FtpSegments, packet_of_a_connection_without_edits_stays_as_it_is) {
  Control control;
  const auto packet = Control::packet(original).seq(1000).ack(5000).psh().payload("RETR file\r\n");
  const Seen seen = control.send(original, packet);
  const WirePacket same = packet.build();
  EXPECT_TRUE(std::equal(seen.packet.bytes.begin(), seen.packet.bytes.end(), same.bytes().begin(), same.bytes().end()));
}

TEST(FtpSegments, Fault15_wrong_checksum_stays_wrong_by_the_same) {
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

TEST(FtpSegments, largest_super_packet_loses_its_tail_not_its_line) {
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

TEST(FtpSegments, super_packet_that_becomes_small_is_none_any_more) {
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

TEST(FtpSegments, record_that_would_lead_astray_is_not_sound) {
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
