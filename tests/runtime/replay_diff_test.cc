#include "runtime/replay_diff.h"

#include <gtest/gtest.h>

#include "support/packet_builder.h"

namespace vipgate {
namespace {

using test::icmp_error;
using test::tcp;
using test::udp;

std::vector<std::uint8_t> bytes_of(const test::PacketBuilder& builder) {
  const test::WirePacket wire = builder.build();
  return {wire.bytes().begin(), wire.bytes().end()};
}

/// Forwarded to a service's backend, as `out`.
ReplayedPacket forwarded(const test::PacketBuilder& out) {
  ReplayedPacket packet;
  packet.verdict.action = Action::forward;
  packet.service = "web";
  packet.backend = "10.0.0.2:8080";
  packet.out = {bytes_of(out)};
  return packet;
}

const test::PacketBuilder kOut = tcp("203.0.113.14:5000", "10.0.0.2:8080").syn().payload("x");

TEST(ReplayDiff, WhatDiffersFirstIsNamed) {
  const ReplayedPacket was = forwarded(kOut);
  EXPECT_EQ(compare(was, was), Difference::none);
  ReplayedPacket other = was;
  other.out = {bytes_of(tcp("203.0.113.14:5000", "10.0.0.2:8080").syn().payload("y"))};
  EXPECT_EQ(compare(was, other), Difference::output);
  other.out.clear();
  EXPECT_EQ(compare(was, other), Difference::output);
  other.backend = "10.0.0.3:8080";
  EXPECT_EQ(compare(was, other), Difference::backend);
  other.service = "mail";
  EXPECT_EQ(compare(was, other), Difference::service);
  other.verdict.reason = Reason::denied;
  EXPECT_EQ(compare(was, other), Difference::reason);
  other.verdict.action = Action::drop;
  EXPECT_EQ(compare(was, other), Difference::verdict);
}

TEST(ReplayDiff, AnotherSourcePortIsNone) {
  const auto differ = [](const test::PacketBuilder& a, const test::PacketBuilder& b) {
    return compare(forwarded(a), forwarded(b));
  };
  EXPECT_EQ(differ(kOut, tcp("203.0.113.14:5001", "10.0.0.2:8080").syn().payload("x")), Difference::none);
  EXPECT_EQ(differ(udp("203.0.113.14:5000", "10.0.0.2:53").payload("x"),
                   udp("203.0.113.14:5001", "10.0.0.2:53").payload("x")),
            Difference::none);
  EXPECT_EQ(differ(kOut, tcp("203.0.113.13:5000", "10.0.0.2:8080").syn().payload("x")), Difference::output)
      << "another address";
  EXPECT_EQ(differ(kOut, tcp("203.0.113.14:5001", "10.0.0.2:8081").syn().payload("x")), Difference::output)
      << "another port of the server";
  EXPECT_EQ(differ(kOut, tcp("203.0.113.14:5001", "10.0.0.2:8080").syn().payload("y")), Difference::output);
}

TEST(ReplayDiff, OfAnErrorItIsThePortInTheQuote) {
  const auto error = [](const char* quoted_to, const char* quoted_from) {
    return forwarded(icmp_error("203.0.113.14", "10.0.0.2", 3, 4).quoting(tcp(quoted_from, quoted_to).build()));
  };
  const ReplayedPacket was = error("203.0.113.14:5000", "10.0.0.2:8080");
  EXPECT_EQ(compare(was, error("203.0.113.14:5001", "10.0.0.2:8080")), Difference::none);
  EXPECT_EQ(compare(was, error("203.0.113.14:5000", "10.0.0.2:8081")), Difference::output);
}

TEST(ReplayDiff, OnTheWayBackEveryByteCounts) {
  ReplayedPacket was = forwarded(tcp("203.0.113.10:80", "198.51.100.7:40000").ack(2));
  ReplayedPacket other = forwarded(tcp("203.0.113.10:81", "198.51.100.7:40000").ack(2));
  was.verdict.is_reply = other.verdict.is_reply = true;
  EXPECT_EQ(compare(was, other), Difference::output);
}

TEST(ReplayDiff, TruncatedPacketsAreCompared) {
  ReplayedPacket was = forwarded(kOut);
  ReplayedPacket other = forwarded(kOut);
  for (std::size_t size = 0; size < was.out[0].size(); ++size) {
    was.out[0].resize(size);
    other.out[0] = was.out[0];
    if (size > 0) other.out[0][0] ^= 0x10;
    EXPECT_EQ(compare(was, other), size > 0 ? Difference::output : Difference::none);
  }
}

}  // namespace
}  // namespace vipgate
