// Checks by ICMP echo, with real sockets in a network namespace.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <numeric>
#include <optional>

#include "device/namespace.h"
#include "device/unique_fd.h"
#include "health_server.h"
#include "runtime/health/pinger.h"

namespace vipgate {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr Ipv4Address kLoopback(0x7F000001);
constexpr const char* kPingSockets = "sysctl -qw net.ipv4.ping_group_range='0 2147483647'";
constexpr const char* kNoPingSockets = "sysctl -qw net.ipv4.ping_group_range='1 0'";

CheckResult ping(Ipv4Address backend) {
  boost::asio::io_context context{1};
  Pinger pinger(context);
  std::optional<CheckResult> result;
  const auto check = pinger.start(backend, [&](const CheckResult& ended) { result = ended; });
  EXPECT_FALSE(result.has_value()) << "called from within the start";
  EXPECT_TRUE(run_until(context, [&] { return result.has_value(); })) << check->cancel();
  return result.value_or(CheckResult{});
}

void expect_replies() {
  const CheckResult result = ping(kLoopback);
  EXPECT_EQ(result.verdict, CheckVerdict::passed);
  EXPECT_EQ(result.reason, "echo reply");
}

NAMESPACE_TEST(HealthPing, ARawSocketGetsReplies) {
  shell(kNoPingSockets);
  expect_replies();
}

NAMESPACE_TEST(HealthPing, APingSocketGetsReplies) {
  shell(kPingSockets);
  ASSERT_EQ(::setegid(65534), 0);
  ASSERT_EQ(::seteuid(65534), 0);  // no raw socket any more
  expect_replies();
}

NAMESPACE_TEST(HealthPing, WithoutTheRightToPingNothingIsKnown) {
  shell(kNoPingSockets);
  ASSERT_EQ(::seteuid(65534), 0);
  const CheckResult result = ping(kLoopback);
  EXPECT_EQ(result.verdict, CheckVerdict::unknown);
  EXPECT_THAT(result.reason, HasSubstr("CAP_NET_RAW"));
}

NAMESPACE_TEST(HealthPing, NoRouteFails) {
  const CheckResult result = ping(Ipv4Address(0x0A000002));
  EXPECT_EQ(result.verdict, CheckVerdict::failed);
  EXPECT_EQ(result.reason, "network is unreachable");
}

NAMESPACE_TEST(HealthPing, ManyAtATimeAreToldApart) {
  boost::asio::io_context context{1};
  Pinger pinger(context);
  shell("ip route add unreachable 127.0.1.0/24 table local");
  std::map<std::uint32_t, CheckVerdict> verdicts;
  for (std::uint32_t i = 0; i < 500; ++i) {
    const Ipv4Address backend(0x7F000001 + i);  // 127.0.1.x from the 256th on
    pinger.start(backend, [&, i](const CheckResult& result) { verdicts.emplace(i, result.verdict); });
  }
  ASSERT_TRUE(run_until(context, [&] { return verdicts.size() == 500; }));
  for (const auto& [i, verdict] : verdicts) {
    EXPECT_EQ(verdict, i < 255 ? CheckVerdict::passed : CheckVerdict::failed) << i;
  }
}

NAMESPACE_TEST(HealthPing, WhatIsCancelledIsNotTold) {
  shell("sysctl -qw net.ipv4.icmp_echo_ignore_all=1");
  boost::asio::io_context context{1};
  auto pinger = std::make_unique<Pinger>(context);
  const auto not_told = [](const CheckResult& result) { ADD_FAILURE() << result.reason; };
  const auto unanswered = pinger->start(kLoopback, not_told);
  const auto no_route = pinger->start(Ipv4Address(0x0A000002), not_told);
  EXPECT_EQ(unanswered->cancel(), "no echo reply");
  EXPECT_EQ(no_route->cancel(), "no echo reply");
  const auto later = pinger->start(kLoopback, not_told);
  context.run_for(20ms);
  context.restart();
  pinger.reset();
  context.run_for(20ms);
  EXPECT_EQ(later->cancel(), "no echo reply");
}

/// Reads requests, which the kernel does not answer, and answers them itself.
class Forger {
 public:
  struct Message {
    icmphdr header;
    std::array<std::uint8_t, 16> cookie;
  };

  Forger() : socket_(::socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ICMP)) {
    shell("sysctl -qw net.ipv4.icmp_echo_ignore_all=1");
  }

  Message request() {
    std::array<char, 256> packet{};
    Message message{};
    while (::recv(socket_.get(), packet.data(), packet.size(), 0) > 0) {
      std::memcpy(&message, packet.data() + sizeof(iphdr), sizeof message);
      if (message.header.type == ICMP_ECHO) break;
    }
    EXPECT_EQ(message.header.type, ICMP_ECHO);
    return message;
  }

  void reply(Message message, std::uint32_t from) {
    message.header.type = ICMP_ECHOREPLY;
    message.header.checksum = 0;
    std::array<std::uint16_t, sizeof(Message) / 2> words;
    std::memcpy(words.data(), &message, sizeof message);
    std::uint32_t sum = std::accumulate(words.begin(), words.end(), std::uint32_t{0});
    while (sum > 0xFFFF) sum = (sum & 0xFFFF) + (sum >> 16);
    message.header.checksum = static_cast<std::uint16_t>(~sum);
    UniqueFd out(::socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(from);
    EXPECT_EQ(::bind(out.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    address.sin_addr.s_addr = htonl(kLoopback.value());
    EXPECT_EQ(
        ::sendto(out.get(), &message, sizeof message, 0, reinterpret_cast<const sockaddr*>(&address), sizeof address),
        static_cast<ssize_t>(sizeof message));
  }

 private:
  UniqueFd socket_;
};

NAMESPACE_TEST(HealthPing, OnlyTheRightReplyCounts) {
  shell(kNoPingSockets);
  Forger forger;
  boost::asio::io_context context{1};
  Pinger pinger(context);
  std::optional<CheckResult> result;
  const auto check = pinger.start(kLoopback, [&](const CheckResult& ended) { result = ended; });
  const Forger::Message right = forger.request();
  const std::uint32_t backend = kLoopback.value();

  forger.reply(right, backend + 1);
  Forger::Message wrong = right;
  wrong.header.un.echo.id = static_cast<std::uint16_t>(~right.header.un.echo.id);
  forger.reply(wrong, backend);
  wrong = right;
  wrong.header.un.echo.sequence = static_cast<std::uint16_t>(~right.header.un.echo.sequence);
  forger.reply(wrong, backend);
  wrong = right;
  wrong.cookie.back() ^= 1U;
  forger.reply(wrong, backend);
  context.run_for(50ms);
  EXPECT_FALSE(result.has_value());

  forger.reply(right, backend);
  EXPECT_TRUE(run_until(context, [&] { return result.has_value(); }));
  forger.reply(right, backend);
  context.run_for(20ms);
  EXPECT_EQ(result->verdict, CheckVerdict::passed);
}

}  // namespace
}  // namespace vipgate
