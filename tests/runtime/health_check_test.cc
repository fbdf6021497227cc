// Checks over TCP and HTTP, with real sockets.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "device/namespace.h"
#include "health_server.h"

namespace vipgate {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

class HealthCheckTest : public testing::Test {
 protected:
  using Start = std::function<std::shared_ptr<RunningCheck>(CheckDone)>;

  CheckResult result_of(const Start& start) {
    std::optional<CheckResult> result;
    const auto running = start([&](const CheckResult& ended) {
      EXPECT_FALSE(result.has_value()) << "called twice";
      result = ended;
    });
    EXPECT_FALSE(result.has_value()) << "called from within the start";
    EXPECT_TRUE(run_until(context_, [&] { return result.has_value(); })) << "waits for " << running->cancel();
    return result.value_or(CheckResult{});
  }
  CheckResult tcp(const Endpoint& backend) {
    return result_of([&](CheckDone done) { return start_tcp_check(context_, backend, std::move(done)); });
  }
  CheckResult http(const Endpoint& backend, const HealthCheck& check = {}) {
    return result_of([&](CheckDone done) { return start_http_check(context_, backend, check, std::move(done)); });
  }
  /// What a check says of a server that answers so.
  CheckResult http_answer(const std::string& answer, const HealthCheck& check = {}) {
    HealthServer server(context_, {.answer = answer, .reads = 1});
    return http(server.endpoint(), check);
  }

  boost::asio::io_context context_{1};
};

TEST_F(HealthCheckTest, TcpPassesWhenTheConnectionOpens) {
  HealthServer server(context_, {});
  const CheckResult result = tcp(server.endpoint());
  EXPECT_EQ(result.verdict, CheckVerdict::passed);
  EXPECT_EQ(result.reason, "connected");
  ASSERT_TRUE(run_until(context_, [&] { return bool{server.end()}; }));
  EXPECT_EQ(server.end(), boost::asio::error::eof) << "closed in order, without a RST";
  EXPECT_EQ(server.received(), "");
}

TEST_F(HealthCheckTest, TcpFailsWhenRefused) {
  const CheckResult result = tcp(closed_endpoint(context_));
  EXPECT_EQ(result.verdict, CheckVerdict::failed);
  EXPECT_EQ(result.reason, "connection refused");
}

TEST_F(HealthCheckTest, HttpFailsWhenRefused) {
  EXPECT_EQ(http(closed_endpoint(context_)).reason, "connection refused");
}

TEST_F(HealthCheckTest, WhatIsCancelledIsNotTold) {
  const FullServer full(context_);
  HealthServer silent(context_, {.answer = {}, .reads = 0, .closes = false});
  const auto not_told = [](const CheckResult& result) { ADD_FAILURE() << result.reason; };
  const auto connecting = start_tcp_check(context_, full.endpoint(), not_told);
  const auto asking = start_http_check(context_, silent.endpoint(), {}, not_told);
  const auto connected = start_tcp_check(context_, silent.endpoint(), not_told);
  const auto refused = start_tcp_check(context_, closed_endpoint(context_), not_told);
  EXPECT_EQ(connected->cancel(), "no connection");
  EXPECT_EQ(refused->cancel(), "no connection");
  ASSERT_TRUE(run_until(context_, [&] { return silent.received().size() > 10; }));
  EXPECT_EQ(connecting->cancel(), "no connection");
  EXPECT_EQ(asking->cancel(), "no HTTP answer");
  context_.run_for(50ms);
}

TEST_F(HealthCheckTest, ChecksEndWithTheirContext) {
  const FullServer full(context_);
  boost::asio::io_context short_lived{1};
  const auto not_told = [](const CheckResult&) { ADD_FAILURE(); };
  const auto kept = start_tcp_check(short_lived, full.endpoint(), not_told);
  start_http_check(short_lived, full.endpoint(), {}, not_told);
  short_lived.poll();
  kept->cancel();
}

NAMESPACE_TEST(HealthCheckNamespace, AConnectionToItselfIsNobodyListening) {
  // One source port, which is the port that is checked: its SYN meets itself.
  shell("sysctl -qw net.ipv4.ip_local_port_range='40001 40001'");
  boost::asio::io_context context{1};
  std::vector<std::string> reasons;
  const auto done = [&](const CheckResult& result) {
    EXPECT_EQ(result.verdict, CheckVerdict::failed);
    reasons.push_back(result.reason);
  };
  const Endpoint own{Ipv4Address(0x7F000001), 40001};
  start_tcp_check(context, own, done);
  ASSERT_TRUE(run_until(context, [&] { return reasons.size() == 1; }));
  shell("sysctl -qw net.ipv4.ip_local_port_range='40003 40003'");
  start_http_check(context, {own.address, 40003}, {}, done);
  ASSERT_TRUE(run_until(context, [&] { return reasons.size() == 2; }));
  EXPECT_EQ(reasons, (std::vector<std::string>{"nobody listens", "nobody listens"}));
}

NAMESPACE_TEST(HealthCheckNamespace, NoRouteFails_NoSourcePortSaysNothing) {
  boost::asio::io_context context{1};
  std::optional<CheckResult> result;
  const auto done = [&](const CheckResult& ended) { result = ended; };
  start_tcp_check(context, {Ipv4Address(0x0A000002), 80}, done);
  ASSERT_TRUE(run_until(context, [&] { return result.has_value(); }));
  EXPECT_EQ(result->verdict, CheckVerdict::failed);
  EXPECT_EQ(result->reason, "network is unreachable");

  HealthServer server(context, {.answer = "x", .reads = 0, .closes = false});
  shell("sysctl -qw net.ipv4.ip_local_port_range='40001 40001'");
  boost::asio::ip::tcp::socket taken(context);
  taken.connect(own_loopback(server.endpoint().port));
  result.reset();
  start_tcp_check(context, server.endpoint(), done);
  ASSERT_TRUE(run_until(context, [&] { return result.has_value(); }));
  EXPECT_EQ(result->verdict, CheckVerdict::unknown) << result->reason;
  EXPECT_THAT(result->reason, StartsWith("cannot be made: "));
}

TEST_F(HealthCheckTest, HttpGoesByTheStatus) {
  CheckResult result = http_answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(result.verdict, CheckVerdict::passed);
  EXPECT_EQ(result.reason, "HTTP status 200");
  EXPECT_EQ(http_answer("HTTP/1.0 399 Odd\r\n\r\n").verdict, CheckVerdict::passed);
  result = http_answer("HTTP/1.1 503 Service Unavailable\r\n\r\n");
  EXPECT_EQ(result.verdict, CheckVerdict::failed);
  EXPECT_EQ(result.reason, "HTTP status 503");
  HealthCheck check;
  check.status = {503, 504};
  EXPECT_EQ(http_answer("HTTP/1.1 503 Service Unavailable\r\n\r\n", check).verdict, CheckVerdict::passed);
  EXPECT_EQ(http_answer("HTTP/1.1 200 OK\r\n\r\n", check).verdict, CheckVerdict::failed);
}

TEST_F(HealthCheckTest, HttpAsksForThePathOfTheHost) {
  const std::string ok = "HTTP/1.1 204 No Content\r\n\r\n";
  HealthServer server(context_, {.answer = ok, .reads = 1});
  HealthCheck check;
  check.path = "/health?deep=1";
  check.host = "www.example.org";
  http(server.endpoint(), check);
  EXPECT_THAT(server.received(), StartsWith("GET /health?deep=1 HTTP/1.1\r\n"));
  EXPECT_THAT(server.received(), HasSubstr("\r\nHost: www.example.org\r\n"));
  EXPECT_THAT(server.received(), HasSubstr("\r\nConnection: close\r\n"));
  HealthServer other(context_, {.answer = ok, .reads = 1});
  http(other.endpoint());
  EXPECT_THAT(other.received(), HasSubstr("\r\nHost: " + other.endpoint().to_string() + "\r\n"));
  EXPECT_THAT(other.received(), StartsWith("GET / HTTP/1.1\r\n"));
}

// "A client MUST be able to parse one or more 1xx responses received prior to a final response."
TEST_F(HealthCheckTest, InterimAnswersAreNoAnswer) {
  const std::string interim = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
  EXPECT_EQ(http_answer("HTTP/1.1 100 Continue\r\n\r\n" + interim + "HTTP/1.1 200 OK\r\n\r\n").reason,
            "HTTP status 200");
  std::string endless;
  for (int i = 0; i < 100; ++i) endless += interim;
  const CheckResult result = http_answer(endless);
  EXPECT_EQ(result.verdict, CheckVerdict::failed);
  EXPECT_EQ(result.reason, "HTTP status 103");
}

TEST_F(HealthCheckTest, HttpTakesAnyBody) {
  EXPECT_EQ(http_answer("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\nbegin").verdict, CheckVerdict::passed);
  HealthServer endless(context_, {.answer = "HTTP/1.1 200 OK\r\n\r\n" + std::string(100000, 'x'),
                                  .reads = 1,
                                  .closes = true,
                                  .pause = {},
                                  .repeats = 100000});
  EXPECT_EQ(http(endless.endpoint()).verdict, CheckVerdict::passed);
}

TEST_F(HealthCheckTest, WhatIsNoHttpFails) {
  for (const std::string garbage :
       {"SSH-2.0-OpenSSH_9.2\r\n", "220 mail.example.org ESMTP\r\n", "HTTP/9.9 200 OK\r\n\r\n", "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n"}) {
    const CheckResult result = http_answer(garbage);
    EXPECT_EQ(result.verdict, CheckVerdict::failed) << garbage;
    EXPECT_THAT(result.reason, StartsWith("no HTTP answer: ")) << garbage;
  }
  for (const std::string cut : {"", "HTTP/1.1 200 OK\r\nServer: x"}) {
    HealthServer server(context_, {.answer = cut + " ", .reads = 1});
    const CheckResult result = http(server.endpoint());
    EXPECT_EQ(result.verdict, CheckVerdict::failed);
  }
  EXPECT_EQ(http_answer("HTTP/1.1 200 OK\r\nServer: cut").reason, "closed without an HTTP answer");
}

TEST_F(HealthCheckTest, AnEndlessHeaderFails) {
  HealthServer lines(context_, {.answer = "HTTP/1.1 200 OK\r\nX-Filler: " + std::string(1000, 'x') + "\r\nX-More: ",
                                .reads = 1,
                                .closes = true,
                                .pause = {},
                                .repeats = 1000});
  CheckResult result = http(lines.endpoint());
  EXPECT_EQ(result.verdict, CheckVerdict::failed);
  EXPECT_THAT(result.reason, HasSubstr("no HTTP answer: "));
  HealthServer line(context_, {.answer = "HTTP/1.1 200 " + std::string(100000, 'x'), .reads = 1, .closes = false});
  result = http(line.endpoint());
  EXPECT_EQ(result.verdict, CheckVerdict::failed);
  EXPECT_THAT(result.reason, HasSubstr("limit exceeded"));
}

}  // namespace
}  // namespace vipgate
