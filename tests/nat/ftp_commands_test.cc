#include "nat/ftp_commands.h"

#include <gtest/gtest.h>

#include <random>
#include <regex>
#include <string>

#include "support/packet_builder.h"

namespace vipgate::test {
namespace {

using Is = FtpArgument::Is;
using enum FtpLineKind;

/// The endpoint of a complete argument as text, or what else it is.
std::string reading(FtpLineKind kind, std::string_view text) {
  const FtpArgument argument = read_ftp_argument(kind, text);
  if (argument.is == Is::unfinished) return "unfinished";
  if (argument.is == Is::something_else) return "something else";
  return argument.endpoint.to_string();
}

std::string written(FtpLineKind kind, std::string_view argument, std::string_view to) {
  char out[kMaxFtpArgument];
  return {out, write_ftp_argument(kind, argument, endpoint(to), out)};
}

TEST(FtpCommands, Rfc959_port_has_six_numbers) {
  EXPECT_EQ(reading(port, "198,51,100,7,156,64\r\n"), "198.51.100.7:40000");
  EXPECT_EQ(reading(port, "0,0,0,0,0,0\r\n"), "0.0.0.0:0");
  EXPECT_EQ(reading(port, "255,255,255,255,255,255\r\n"), "255.255.255.255:65535");
  EXPECT_EQ(reading(port, "198,51,100,007,156,064\n"), "198.51.100.7:40000");
  EXPECT_EQ(reading(port, "198,51,100,7,156,64  \r\n"), "198.51.100.7:40000");
  for (const char* text :
       {"198,51,100,7,156\r\n", "198,51,100,7,156,64,1\r\n", "198.51.100.7,156,64\r\n", "256,51,100,7,156,64\r\n",
        "198,51,100,7,156,256\r\n", "0198,51,100,7,156,64\r\n", "198,51,100,7,156,64x\r\n", "198,51,100,7,156,64\r\r\n",
        "198,51,100,7,156,64\rPORT", "198,51,,100,7,156,64\r\n", ",198,51,100,7,156,64\r\n", "-1,51,100,7,156,64\r\n",
        "+1,51,100,7,156,64\r\n", "198, 51,100,7,156,64\r\n", "4294967297,0,0,1,4,0\r\n", "\r\n", "\n"}) {
    EXPECT_EQ(reading(port, text), "something else") << text;
  }
}

TEST(FtpCommands, Rfc2428_eprt_has_family_address_and_port) {
  EXPECT_EQ(reading(extended_port, "|1|198.51.100.7|40000|\r\n"), "198.51.100.7:40000");
  EXPECT_EQ(reading(extended_port, "!1!198.51.100.7!65535!\n"), "198.51.100.7:65535");
  EXPECT_EQ(reading(extended_port, "~1~255.255.255.255~0~\r\n"), "255.255.255.255:0");
  for (const char* text :
       {"|2|2001:db8::7|40000|\r\n", "|1|198.51.100.7|65536|\r\n", "|1|198.51.100.7|400000|\r\n",
        "|1|198.51.100.7|40000\r\n", "|1|198.51.100.7!40000|\r\n", "|11|198.51.100.7|40000|\r\n",
        "||198.51.100.7|40000|\r\n", "|1|198.51.100.256|40000|\r\n", "|1|198.51.100|40000|\r\n", "|1||40000|\r\n",
        "|1|198.51.100.7||\r\n", "|1|198.51.100.7|40000|x\r\n", "91919.0.0.19409\r\n", " |1|198.51.100.7|40000|\r\n",
        "\x7f"
        "1\x7f"
        "198.51.100.7\x7f"
        "40000\x7f\r\n",
        ".1.198.51.100.7.40000.\r\n"}) {
    EXPECT_EQ(reading(extended_port, text), "something else") << text;
  }
}

TEST(FtpCommands, Rfc959_passive_ends_with_what_is_no_number) {
  for (const char end : {')', '.', '\r', '\n', ' ', ']', 'x'}) {
    EXPECT_EQ(reading(passive, std::string("10,0,0,20,156,64") + end), "10.0.0.20:40000");
  }
  EXPECT_EQ(reading(passive, "10,0,0,20,156,64,"), "something else");
  EXPECT_EQ(reading(passive, "10 "), "something else");
  EXPECT_EQ(reading(passive, "10.0.0.20"), "something else");
}

TEST(FtpCommands, Rfc2428_extended_passive_has_any_delimiter) {
  for (int delimiter = 0; delimiter < 256; ++delimiter) {
    const std::string d(1, static_cast<char>(delimiter));
    const bool allowed = delimiter >= 33 && delimiter <= 126 && (delimiter < '0' || delimiter > '9');
    EXPECT_EQ(reading(extended_passive, "(" + d + d + d + "40000" + d), allowed ? "0.0.0.0:40000" : "something else")
        << delimiter;
  }
  for (const char* text :
       {"(1", "(|||40000)", "(||40000|", "(|1|10.0.0.2|40000|", "(|!|40000|", "(||||", "(|||65536|"}) {
    EXPECT_EQ(reading(extended_passive, text), "something else") << text;
  }
}

TEST(FtpCommands, Cve2003_0467_number_is_not_found_within_another) {
  EXPECT_EQ(reading(passive, "10,1,1,200,4,1)"), "10.1.1.200:1025");
  EXPECT_EQ(reading(passive, "10,1,1,20"), "unfinished");  // 200, perhaps
  EXPECT_EQ(reading(passive, "10,1,1,20,4,1"), "unfinished");
  EXPECT_EQ(reading(extended_passive, "(|||4000"), "unfinished");
}

/// What the grammar looks like to regular expressions.
const std::regex& pattern(FtpLineKind kind) {
  static const std::string number = "0*(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
  static const std::string six = number + "," + number + "," + number + "," + number + "," + number + "," + number;
  static const std::regex port_pattern(six + " *\r?\n");
  static const std::regex passive_pattern(six + "[^0-9,]");
  return kind == port ? port_pattern : passive_pattern;
}

TEST(FtpCommands, arguments_grow_byte_by_byte_into_what_they_are) {
  std::mt19937 random(5);
  const auto pick = [&](std::size_t below) { return random() % below; };
  int complete = 0;
  for (int round = 0; round < 60000; ++round) {
    const FtpLineKind kind = round % 2 == 0 ? port : passive;
    std::string text;
    for (int i = 0; i < 6; ++i) {
      const std::size_t value = pick(10) == 0 ? pick(400) : pick(256);
      text += (i > 0 ? "," : "") + std::string(pick(20) == 0 ? 1 : 0, '0') + std::to_string(value);
    }
    text += kind == port ? (pick(2) == 0 ? "\r\n" : " \n") : ")";
    if (pick(3) == 0) text[pick(text.size())] = "0123456789,. \r\n)x"[pick(17)];

    std::size_t length = 1;
    while (length < text.size() && read_ftp_argument(kind, text.substr(0, length)).is == Is::unfinished) ++length;
    const std::string read = text.substr(0, length);
    const FtpArgument argument = read_ftp_argument(kind, read);
    std::smatch match;
    bool matches = std::regex_match(read, match, pattern(kind));
    for (std::size_t i = 1; matches && i <= 6; ++i) {
      const auto begin = static_cast<std::size_t>(match.position(i) + match.length(i));
      const std::size_t start = read.find_last_of(',', begin - 1);
      matches = begin - (start == std::string::npos || start >= begin ? 0 : start + 1) <= 3;  // digits, zeros included
    }
    ASSERT_EQ(argument.is == Is::complete, matches) << read;
    if (!matches) continue;
    ++complete;
    const auto part = [&](std::size_t i) { return match.str(i); };
    const std::string address = part(1) + "." + part(2) + "." + part(3) + "." + part(4);
    ASSERT_EQ(argument.endpoint.address.to_string(), address);
    ASSERT_EQ(argument.endpoint.port, std::stoi(part(5)) * 256 + std::stoi(part(6)));
    // Written with its own endpoint it is read again as the same.
    char out[kMaxFtpArgument];
    const std::string again(out, write_ftp_argument(kind, read, argument.endpoint, out));
    ASSERT_EQ(read_ftp_argument(kind, again).endpoint, argument.endpoint) << read << again;
  }
  EXPECT_GT(complete, 10000);
}

TEST(FtpCommands, written_argument_keeps_what_is_around_the_endpoint) {
  EXPECT_EQ(written(port, "198,51,100,7,156,64 \r\n", "203.0.113.14:1025"), "203,0,113,14,4,1\r\n");
  EXPECT_EQ(written(port, "198,51,100,7,156,64\n", "0.0.0.0:0"), "0,0,0,0,0,0\n");
  EXPECT_EQ(written(extended_port, "!1!198.51.100.7!40000!\r\n", "203.0.113.14:65535"), "!1!203.0.113.14!65535!\r\n");
  EXPECT_EQ(written(passive, "10,0,0,2,156,64]", "203.0.113.10:32768"), "203,0,113,10,128,0]");
  EXPECT_EQ(written(extended_passive, "(;;;7;", "203.0.113.10:32768"), "(;;;32768;");
}

TEST(FtpCommands, longest_argument_fits) {
  const std::string longest = written(extended_port, "|1|1.1.1.1|1|\r\n", "255.255.255.255:65535");
  EXPECT_EQ(longest, "|1|255.255.255.255|65535|\r\n");
  EXPECT_EQ(longest.size(), kMaxFtpArgument);
  EXPECT_EQ(written(port, "1,1,1,1,1,1\r\n", "255.255.255.255:65535"), "255,255,255,255,255,255\r\n");
}

TEST(FtpCommands, Rfc959_verbs_are_of_any_case) {
  EXPECT_EQ(ftp_command("PORT "), port);
  EXPECT_EQ(ftp_command("pOrt "), port);
  EXPECT_EQ(ftp_command("eprt "), extended_port);
  for (const char* head : {"PORTS", "PORT\t", "PORT\r", "XPRT ", " PORT", "PASV\r", "EPSV ", "port,", "\xd0ORT "}) {
    EXPECT_EQ(ftp_command(head), other) << head;
  }
}

}  // namespace
}  // namespace vipgate::test
