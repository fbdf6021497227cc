#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vipgate/inspect.h"

namespace vipgate::test {
namespace {

using testing::HasSubstr;

TEST(Compose, WhatDescribeSaysComesBack) {
  for (const char* line :
       {"tcp 198.51.100.7:40000 > 203.0.113.10:80 S seq 1 win 64240 length 0",
        "tcp 198.51.100.7:40000 > 203.0.113.10:80 PA seq 4294967295 ack 7 win 5 length 3",
        "tcp 10.0.0.1:1 > 10.0.0.2:65535 SFRPAUEC seq 9 ack 1 win 0 length 1460",
        "tcp 10.0.0.1:1 > 10.0.0.2:2 . seq 9 win 1 length 0", "udp 10.0.0.1:5353 > 10.0.0.2:53 length 4",
        "icmp 10.0.0.1 > 10.0.0.2 echo request id 7 seq 3 length 4",
        "icmp 10.0.0.1 > 10.0.0.2 echo reply id 65535 seq 0 length 1"}) {
    const Composed composed = compose(line);
    ASSERT_EQ(composed.error, "") << line;
    EXPECT_EQ(describe(composed.bytes), line);
    std::vector<std::uint8_t> bytes = composed.bytes;
    EXPECT_TRUE(checksums_are_right({.bytes = bytes})) << line;
  }
}

TEST(Compose, WhatIsLeftOutIsAsMostPacketsHaveIt) {
  EXPECT_EQ(describe(compose("tcp 198.51.100.7:40000 > 203.0.113.10:80").bytes),
            "tcp 198.51.100.7:40000 > 203.0.113.10:80 S seq 1 win 64240 length 0");
  EXPECT_EQ(describe(compose("udp 10.0.0.1:1 > 10.0.0.2:53").bytes), "udp 10.0.0.1:1 > 10.0.0.2:53 length 0");
  EXPECT_EQ(describe(compose("  icmp 10.0.0.1   > 10.0.0.2 ").bytes),
            "icmp 10.0.0.1 > 10.0.0.2 echo request id 1 seq 1 length 0");
}

TEST(Compose, MistakesAreNamedWithAnExample) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "has to begin with tcp, udp or icmp"},
      {"sctp 10.0.0.1:1 > 10.0.0.2:2", "has to begin with"},
      {"tcp 10.0.0.1 > 10.0.0.2:2", "\"10.0.0.1\" is no address with a port"},
      {"tcp 10.0.0.1:70000 > 10.0.0.2:2", "no address with a port"},
      {"icmp 10.0.0.1:5 > 10.0.0.2", "is no address"},
      {"tcp 10.0.0.1:1 10.0.0.2:2", "a \">\" has to stand"},
      {"tcp 10.0.0.1:1 >", "\"\" is no address"},
      {"tcp 10.0.0.1:1 > 10.0.0.2:2 X", "\"X\" is not understood"},
      {"tcp 10.0.0.1:1 > 10.0.0.2:2 S seq", "a number up to 4294967295 has to follow \"seq\""},
      {"tcp 10.0.0.1:1 > 10.0.0.2:2 S seq 4294967296", "has to follow"},
      {"tcp 10.0.0.1:1 > 10.0.0.2:2 S win 65536", "up to 65535"},
      {"udp 10.0.0.1:1 > 10.0.0.2:2 length 65496", "up to 65495"},
      {"udp 10.0.0.1:1 > 10.0.0.2:2 seq 1", "\"seq\" is not understood"},
      {"icmp 10.0.0.1 > 10.0.0.2 echo", "wants \"request\" or \"reply\""},
  };
  for (const auto& [line, error] : cases) {
    const Composed composed = compose(line);
    EXPECT_THAT(composed.error, HasSubstr(error)) << line;
    EXPECT_THAT(composed.error, HasSubstr("an example: ")) << line;
    EXPECT_TRUE(composed.bytes.empty()) << line;
  }
}

TEST(Compose, TheLongestFits) {
  EXPECT_EQ(compose("tcp 10.0.0.1:1 > 10.0.0.2:2 A ack 1 length 65495").bytes.size(), kMaxPacketSize);
}

}  // namespace
}  // namespace vipgate::test
