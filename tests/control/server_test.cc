#include "control/server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "control/client.h"
#include "control/clients.h"
#include "control/fake_gateway.h"
#include "support/temporary_folder.h"

namespace vipgate::control {
namespace {

using Local = boost::asio::local::stream_protocol;
using Tcp = boost::asio::ip::tcp;
using testing::HasSubstr;
using testing::StartsWith;

class ServerTest : public testing::Test {
 protected:
  ~ServerTest() override {
    context_.stop();
    if (thread_.joinable()) thread_.join();
  }

  void serve() {
    ASSERT_TRUE(server_.listen(socket_).ok());
    thread_ = std::thread([this] {
      const auto forever = boost::asio::make_work_guard(context_);
      context_.run();
    });
  }

  Local::socket connect() {
    Local::socket socket(client_);
    socket.connect(Local::endpoint(socket_));
    return socket;
  }

  /// All that comes until the server closes the connection.
  std::string say(const std::string& text) {
    Local::socket socket = connect();
    boost::system::error_code ignored;
    boost::asio::write(socket, boost::asio::buffer(text), ignored);
    socket.shutdown(Local::socket::shutdown_send, ignored);
    std::string heard;
    boost::asio::read(socket, boost::asio::dynamic_buffer(heard), ignored);
    return heard;
  }

  test::TemporaryFolder folder_;
  std::string socket_ = folder_.path() + "/control.sock";
  test::FakeGateway gateway_;
  boost::asio::io_context context_{1};
  Server server_{context_, gateway_};
  boost::asio::io_context client_;
  std::thread thread_;
};

TEST_F(ServerTest, AnswersCommands) {
  serve();
  const auto response = ask(socket_, {"POST", "/v1/reload", ""});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 200);
  EXPECT_THAT(response->body, HasSubstr("web: port changed"));
}

/// The same over TCP.
class TcpServerTest : public ServerTest {
 protected:
  TcpServerTest() {
    Tcp::acceptor free(client_, {kLoopback, 0});
    port_ = free.local_endpoint().port();
  }

  std::string request(const std::string& line, const std::string& host = "127.0.0.1") {
    Tcp::socket socket(client_);
    socket.connect({kLoopback, port_});
    boost::system::error_code ignored;
    boost::asio::write(socket, boost::asio::buffer(line + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n"), ignored);
    socket.shutdown(Tcp::socket::shutdown_send, ignored);
    std::string heard;
    boost::asio::read(socket, boost::asio::dynamic_buffer(heard), ignored);
    return heard;
  }

  const boost::asio::ip::address_v4 kLoopback = boost::asio::ip::address_v4::loopback();
  std::uint16_t port_ = 0;
};

TEST_F(TcpServerTest, OneCanLookAndNothingElse) {
  server_.listen(Endpoint{Ipv4Address(0x7f000001), port_});
  serve();
  EXPECT_THAT(request("GET /v1/status"), testing::AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("\"generation\":3")));
  EXPECT_THAT(request("GET /metrics"), HasSubstr("Content-Type: text/plain"));
  EXPECT_THAT(request("POST /v1/reload"), StartsWith("HTTP/1.1 403"));
  EXPECT_EQ(gateway_.reloads_, 0);
}

TEST_F(TcpServerTest, HeadHasTheLengthAndNoBody) {
  server_.listen(Endpoint{Ipv4Address(0x7f000001), port_});
  serve();
  const std::string whole = request("GET /v1/status");
  const std::string head = whole.substr(0, whole.find("\r\n\r\n") + 4);
  EXPECT_EQ(request("HEAD /v1/status"), head);
  EXPECT_THAT(head, HasSubstr("Content-Length: " + std::to_string(whole.size() - head.size())));
}

TEST_F(TcpServerTest, ANameThatIsNotThisHostsIsRefused) {
  server_.listen(Endpoint{Ipv4Address(0x7f000001), port_});
  serve();
  const std::string port = ":" + std::to_string(port_);
  for (const std::string& host : {std::string("localhost"), "localhost" + port, "127.0.0.1" + port}) {
    EXPECT_THAT(request("GET /v1/status", host), StartsWith("HTTP/1.1 200")) << host;
  }
  for (const std::string& host : {std::string(), std::string("evil.example"), "evil.example" + port}) {
    EXPECT_THAT(request("GET /v1/status", host), StartsWith("HTTP/1.1 421")) << host;
  }
}

TEST_F(TcpServerTest, AnAddressThatIsTakenIsTriedAgain) {
  auto other = std::make_unique<Tcp::acceptor>(client_, Tcp::endpoint(kLoopback, port_));
  server_.listen(Endpoint{Ipv4Address(0x7f000001), port_});
  serve();
  other.reset();
  for (int i = 0; i < 2000; ++i) {
    Tcp::socket socket(client_);
    boost::system::error_code error;
    socket.connect({kLoopback, port_}, error);
    if (!error) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  FAIL() << "nobody listens";
}

TEST_F(ServerTest, SeveralRequestsOnOneConnection) {
  serve();
  const std::string request = "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string heard = say(request + request + "GET /v1/reload HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(heard, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(heard, HasSubstr("HTTP/1.1 405 Method Not Allowed"));
  EXPECT_EQ(gateway_.reloads_, 0);
}

TEST_F(ServerTest, OnlyItsOwnerCanConnect) {
  serve();
  struct stat found {};
  ASSERT_EQ(::stat(socket_.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777U, 0600U);
}

TEST_F(ServerTest, ReplacesTheSocketOfAKilledPredecessor) {
  {
    Local::acceptor killed(client_, Local::endpoint(socket_));  // whose end leaves the file there
  }
  serve();
  EXPECT_TRUE(ask(socket_, {"GET", "/v1/status", ""}).ok());
}

TEST_F(ServerTest, ReplacesNothingElse) {
  std::ofstream(socket_) << "precious";
  EXPECT_THAT(std::string(server_.listen(socket_).message()), HasSubstr("no socket"));
  EXPECT_TRUE(std::filesystem::is_regular_file(socket_));
}

TEST_F(ServerTest, MakesTheFolder) {
  socket_ = folder_.path() + "/a/b/control.sock";
  serve();
  EXPECT_TRUE(ask(socket_, {"GET", "/v1/status", ""}).ok());
}

TEST_F(ServerTest, SaysWhyThereIsNoSocket) {
  EXPECT_THAT(std::string(server_.listen("/proc/nowhere/control.sock").message()), HasSubstr("name another"));
}

TEST_F(ServerTest, SaysThatNobodyAnswers) {
  EXPECT_THAT(std::string(ask(socket_, {"GET", "/v1/status", ""}).status().message()), HasSubstr("no gateway answers"));
}

TEST_F(ServerTest, Fault25_MalformedAndOversizedRequests) {
  serve();
  EXPECT_THAT(say("rubbish\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(say("GET /v1/status HTTP/9.9\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(say("GET /v1/status HTTP/1.1\r\nX: " + std::string(kMaxHeader, 'x')), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(say("POST /v1/reload HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"), StartsWith("HTTP/1.1 413"));
  EXPECT_EQ(say("POST /v1/reload HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf"), "");
  EXPECT_EQ(say(""), "");
  EXPECT_EQ(gateway_.reloads_, 0);
  EXPECT_TRUE(ask(socket_, {"GET", "/v1/status", ""}).ok());
}

/// A session that the server has closed ends here.
bool is_closed(Local::socket& socket) {
  char letter = 0;
  boost::system::error_code error;
  socket.read_some(boost::asio::buffer(&letter, 1), error);
  return error == boost::asio::error::eof || error == boost::asio::error::connection_reset;
}

TEST_F(ServerTest, Fault25_ClientsThatStallHoldUpNobodyElse) {
  serve();
  std::vector<Local::socket> stalled;
  for (std::size_t i = 0; i < 3 * kMaxClients; ++i) {
    stalled.push_back(connect());
    boost::asio::write(stalled.back(), boost::asio::buffer(std::string("GET /v1/sta")));
  }
  for (std::size_t i = 0; i < 2 * kMaxClients; ++i) {
    EXPECT_TRUE(is_closed(stalled[i])) << "who has been silent longest gives way";
  }
  for (int i = 0; i < 5; ++i) {
    const auto response = ask(socket_, {"GET", "/v1/status", ""});
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->status, 200);
  }
  boost::asio::write(stalled.back(), boost::asio::buffer(std::string("tus HTTP/1.1\r\n\r\n")));
  EXPECT_FALSE(is_closed(stalled.back())) << "the last to come was the last to go";
}

TEST_F(ServerTest, Fault25_ClientsThatReadNoAnswerGiveWay) {
  gateway_.reload_result_.lines.assign(20, std::string(100'000, 'x'));  // more than a socket takes
  serve();
  std::vector<Local::socket> stalled;
  for (std::size_t i = 0; i < kMaxClients; ++i) {
    stalled.push_back(connect());
    boost::asio::write(stalled.back(), boost::asio::buffer(std::string("POST /v1/reload HTTP/1.1\r\n\r\n")));
  }
  const auto response = ask(socket_, {"GET", "/v1/status", ""});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 200);
}

TEST_F(TcpServerTest, Fault25_TooManyClientsInTheMiddleOfAnAnswerAreToldSo) {
  gateway_.holds_answers_ = true;
  server_.listen(Endpoint{Ipv4Address(0x7f000001), port_});
  serve();
  std::vector<Tcp::socket> waiting;
  for (std::size_t i = 0; i < kMaxClients; ++i) {
    waiting.emplace_back(client_);
    waiting.back().connect({kLoopback, port_});
    boost::asio::write(waiting.back(),
                       boost::asio::buffer(std::string("GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n")));
  }
  while (gateway_.held_ < kMaxClients) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_THAT(request("GET /v1/status"), StartsWith("HTTP/1.1 503"));
  boost::asio::post(context_, [this] { gateway_.answer_held(); });
  for (Tcp::socket& one : waiting) {
    char letter = 0;
    one.read_some(boost::asio::buffer(&letter, 1));
  }
  EXPECT_THAT(request("GET /v1/status"), StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, Fault25_ManyClientsAtOnceAreAllAnswered) {
  serve();
  std::vector<std::thread> clients;
  std::atomic<int> answered = 0;
  for (std::size_t i = 0; i < kMaxClients / 2; ++i) {
    clients.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        const auto response = ask(socket_, {"GET", "/v1/status", ""});
        if (response.ok() && response->status == 200) ++answered;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(answered, 20 * static_cast<int>(kMaxClients / 2));
}

TEST_F(ServerTest, AGroupsMembersMayConnect) {
  ASSERT_TRUE(server_.listen(socket_, ::getgid()).ok());
  struct stat found {};
  ASSERT_EQ(::stat(socket_.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777U, 0660U);
  EXPECT_EQ(found.st_gid, ::getgid());
}

}  // namespace
}  // namespace vipgate::control
