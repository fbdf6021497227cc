// What becomes of lines, and which make way for a data connection.

#include "nat/ftp.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "nat/ftp_control.h"

namespace vipgate::test {
namespace {

using enum Direction;

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

TEST(Ftp, Fault20_two_lines_in_one_segment) {
  Control control;
  EXPECT_EQ(control.client("PORT 198,51,100,7,4,0\r\nPORT 198,51,100,7,4,8\r\n").text,
            "PORT " + announced_to(DataOpener::backend, 1024) + "\r\nPORT " + announced_to(DataOpener::backend, 1032) +
                "\r\n");
  EXPECT_EQ(control.expecter.asked.size(), 2u);
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

TEST(Ftp, Rfc7413_data_in_a_syn_is_not_read) {
  Control control;
  control.state = {};
  const std::string line = "PORT 198,51,100,7,4,0\r\n";
  EXPECT_EQ(control.send(original, Control::packet(original).syn().seq(999).payload("NOOP ")).text, "NOOP ");
  control.send(reply, Control::packet(reply).syn().seq(4999).ack(1005));
  EXPECT_EQ(control.client_at(1005, line + line).text,
            line + "PORT " + announced_to(DataOpener::backend, 1024) + "\r\n");
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

}  // namespace
}  // namespace vipgate::test
