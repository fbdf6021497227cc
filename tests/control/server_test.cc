#include "control/server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
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

/// Gives what it is told, piece by piece, and then waits for stop(), or ends by itself.
class FakeSource final : public ByteSource, public std::enable_shared_from_this<FakeSource> {
 public:
  struct Seen {
    std::atomic<bool> stopped = false;
    std::atomic<bool> gone = false;
  };
  FakeSource(boost::asio::io_context& context, std::vector<std::string> pieces, bool endless,
             std::shared_ptr<Seen> seen)
      : context_(context), pieces_(std::move(pieces)), endless_(endless), seen_(std::move(seen)) {}
  ~FakeSource() override { seen_->gone = true; }

  void open(std::function<void()> ready) override { boost::asio::post(context_, std::move(ready)); }
  void read(std::function<void(std::string)> take) override {
    take_ = std::move(take);
    boost::asio::post(context_, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->give();
    });
  }
  void stop() override {
    seen_->stopped = true;
    endless_ = false;
    give();
  }
  std::vector<std::pair<std::string, std::string>> summary() const override { return {{"Captured", "3"}}; }

 private:
  void give() {
    if (!take_ || (given_ == pieces_.size() && endless_)) return;
    std::exchange(take_, nullptr)(given_ < pieces_.size() ? pieces_[given_++] : std::string());
  }

  boost::asio::io_context& context_;
  std::vector<std::string> pieces_;
  bool endless_;
  std::shared_ptr<Seen> seen_;
  std::size_t given_ = 0;
  std::function<void(std::string)> take_;
};

class StreamTest : public ServerTest {
 protected:
  void offer(std::vector<std::string> pieces, bool endless) {
    gateway_.capture_result_ = std::make_shared<FakeSource>(context_, std::move(pieces), endless, seen_);
    serve();
  }
  void request(Local::socket& socket) {
    boost::asio::write(socket,
                       boost::asio::buffer(std::string("POST /v1/capture?port=80 HTTP/1.1\r\nHost: x\r\n\r\n")));
  }
  /// Until it contains `text`.
  static std::string hear(Local::socket& socket, const std::string& text) {
    std::string heard;
    while (heard.find(text) == std::string::npos) {
      std::array<char, 1000> more;
      boost::system::error_code error;
      const std::size_t size = socket.read_some(boost::asio::buffer(more), error);
      if (error) break;
      heard.append(more.data(), size);
    }
    return heard;
  }
  bool waits_for(const std::atomic<bool>& flag) {
    for (int i = 0; i < 2000 && !flag; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return flag;
  }

  std::shared_ptr<FakeSource::Seen> seen_ = std::make_shared<FakeSource::Seen>();
};

TEST_F(StreamTest, PieceByPieceAndASummary) {
  offer({"one ", "two"}, /*endless=*/false);
  Local::socket socket = connect();
  request(socket);
  const std::string heard = hear(socket, "\r\n0\r\nCaptured: 3\r\n\r\n");
  EXPECT_THAT(heard, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(heard, HasSubstr("Content-Type: application/x-pcapng\r\n"));
  EXPECT_THAT(heard, HasSubstr("Trailer: Captured\r\n"));
  EXPECT_THAT(heard, HasSubstr("\r\n4\r\none \r\n3\r\ntwo\r\n0\r\nCaptured: 3\r\n\r\n"));
  gateway_.capture_result_ = nullptr;
}

TEST_F(StreamTest, TheCommandHearsItAll) {
  offer({"one ", std::string(1'000'000, '2')}, /*endless=*/false);
  std::string heard;
  const auto stream = ask_for_stream(socket_, {"POST", "/v1/capture", ""}, [&](std::string_view piece) {
    heard += piece;
    return true;
  });
  ASSERT_TRUE(stream.ok()) << stream.status();
  EXPECT_TRUE(stream->whole);
  EXPECT_EQ(stream->response.status, 200);
  EXPECT_EQ(heard, "one " + std::string(1'000'000, '2'));
  EXPECT_EQ(stream->summary.at("Captured"), "3");
}

TEST_F(StreamTest, ACommandThatHasEnoughGetsTheRest) {
  offer({"one"}, /*endless=*/true);
  const auto stream = ask_for_stream(socket_, {"POST", "/v1/capture", ""}, [](std::string_view) { return false; });
  ASSERT_TRUE(stream.ok()) << stream.status();
  EXPECT_TRUE(stream->whole);
  EXPECT_TRUE(seen_->stopped);
}

TEST_F(StreamTest, ARefusalIsHeardAsSuch) {
  gateway_.capture_result_ = absl::UnavailableError("4 captures run already");
  serve();
  const auto stream = ask_for_stream(socket_, {"POST", "/v1/capture", ""}, [](std::string_view) { return false; });
  ASSERT_TRUE(stream.ok()) << stream.status();
  EXPECT_EQ(stream->response.status, 503);
  EXPECT_THAT(stream->response.body, HasSubstr("4 captures run already"));
}

TEST_F(StreamTest, AClientThatLeavesIsNoticedThoughNothingIsSent) {
  offer({"one"}, /*endless=*/true);
  {
    Local::socket socket = connect();
    request(socket);
    // With the chunk's line ends: "one" alone is also in the header's 'none'.
    EXPECT_THAT(hear(socket, "\r\none\r\n"), HasSubstr("\r\none\r\n"));
    EXPECT_FALSE(seen_->stopped);
    gateway_.capture_result_ = nullptr;
  }
  EXPECT_TRUE(waits_for(seen_->stopped));
  EXPECT_TRUE(waits_for(seen_->gone));
}

TEST_F(StreamTest, AClientThatLeavesAfterTheHeaderIsNoticed) {
  offer({"one"}, /*endless=*/true);
  {
    Local::socket socket = connect();
    request(socket);
    EXPECT_THAT(hear(socket, "\r\n\r\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
    gateway_.capture_result_ = nullptr;
  }
  EXPECT_TRUE(waits_for(seen_->gone));
}

TEST_F(StreamTest, Fault25_AClientThatStallsHoldsUpNobody) {
  offer(std::vector<std::string>(100, std::string(1'000'000, 'x')), /*endless=*/true);
  Local::socket stalled = connect();
  request(stalled);
  EXPECT_THAT(hear(stalled, "xxx"), HasSubstr("xxx"));
  EXPECT_TRUE(ask(socket_, {"GET", "/v1/status", ""}).ok());
  gateway_.capture_result_ = nullptr;
  stalled.close();
  EXPECT_TRUE(waits_for(seen_->gone));
}

TEST_F(TcpServerTest, PayloadsAreNotForThoseWhoMayOnlyLook) {
  server_.listen(Endpoint{Ipv4Address(0x7f000001), port_});
  serve();
  EXPECT_THAT(request("POST /v1/capture"), StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(request("GET /v1/capture"), StartsWith("HTTP/1.1 405"));
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
