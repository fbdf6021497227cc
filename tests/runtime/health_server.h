#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio.hpp>

#include "runtime/health/check.h"

namespace vipgate {

/// How long a test waits for what must happen.
constexpr auto kPatience = std::chrono::seconds(20);

/// Runs `context` until `condition` holds. False: it never did.
inline bool run_until(boost::asio::io_context& context, const std::function<bool()>& condition,
                      std::chrono::steady_clock::duration patience = kPatience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  context.restart();
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    context.run_for(std::chrono::milliseconds(5));
    context.restart();
  }
  return true;
}

/// An address that no other test's process has, so that nobody takes the port of a server that is away for a while.
inline Ipv4Address own_loopback() {
  return Ipv4Address(0x7F400000U |
                     (static_cast<std::uint32_t>(::getpid()) & 0x3FFFFFU));  // pids have 22 bits (proc(5))
}
inline boost::asio::ip::tcp::endpoint own_loopback(std::uint16_t port) {
  return {boost::asio::ip::address_v4(own_loopback().value()), port};
}

/// A TCP server on the loopback that says `answer` to each connection once it has read `reads` bytes, and then closes
/// or, if told so, says nothing more.
class HealthServer {
 public:
  struct Script {
    std::string answer;
    std::size_t reads = 0;  ///< at least
    bool closes = true;
    std::chrono::milliseconds pause{};  ///< before it closes
    std::size_t repeats = 1;            ///< of the answer
  };
  using Tcp = boost::asio::ip::tcp;

  HealthServer(boost::asio::io_context& context, Script script, std::uint16_t port = 0)
      : acceptor_(context, own_loopback(port)), script_(std::move(script)) {
    accept();
  }

  Endpoint endpoint() const { return {own_loopback(), acceptor_.local_endpoint().port()}; }
  const std::string& received() const { return *received_; }
  std::size_t accepted() const { return accepted_; }
  std::size_t open() const { return *open_; }
  std::size_t most_open() const { return *most_open_; }
  /// How the first connection ended: the error that a reader saw.
  boost::system::error_code end() const { return *end_; }

 private:
  struct Session : std::enable_shared_from_this<Session> {
    Session(Tcp::socket from, HealthServer& server)
        : socket(std::move(from)),
          timer(socket.get_executor()),
          script(server.script_),
          received(server.received_),
          open(server.open_),
          most_open(server.most_open_),
          end(server.end_) {
      *most_open = std::max(*most_open, ++*open);
    }
    ~Session() { --*open; }

    void read() {
      if (script.reads > 0 && received->size() >= script.reads && !std::exchange(answered, true)) return write();
      if (script.reads == 0 && !std::exchange(answered, true) && !script.answer.empty()) return write();
      socket.async_read_some(boost::asio::buffer(buffer), [self = shared_from_this()](auto error, std::size_t size) {
        if (error) {
          *self->end = error;
          return;
        }
        self->received->append(self->buffer.data(), size);
        self->read();
      });
    }
    void write() {
      boost::asio::async_write(socket, boost::asio::buffer(script.answer),
                               [self = shared_from_this()](auto error, std::size_t) {
                                 if (!error && --self->script.repeats > 0) return self->write();
                                 if (error || !self->script.closes) return self->read();
                                 self->timer.expires_after(self->script.pause);
                                 self->timer.async_wait([self](auto) {});
                               });
    }

    Tcp::socket socket;
    boost::asio::steady_timer timer;
    Script script;
    std::shared_ptr<std::string> received;
    std::shared_ptr<std::size_t> open;
    std::shared_ptr<std::size_t> most_open;
    std::shared_ptr<boost::system::error_code> end;
    bool answered = false;
    std::array<char, 4096> buffer{};
  };

  void accept() {
    acceptor_.async_accept([this](auto error, Tcp::socket socket) {
      if (error) return;
      ++accepted_;
      std::make_shared<Session>(std::move(socket), *this)->read();
      accept();
    });
  }

  Tcp::acceptor acceptor_;
  Script script_;
  std::size_t accepted_ = 0;
  std::shared_ptr<std::string> received_ = std::make_shared<std::string>();
  std::shared_ptr<std::size_t> open_ = std::make_shared<std::size_t>(0);
  std::shared_ptr<std::size_t> most_open_ = std::make_shared<std::size_t>(0);
  std::shared_ptr<boost::system::error_code> end_ = std::make_shared<boost::system::error_code>();
};

/// A port of the loopback that nobody listens on.
inline Endpoint closed_endpoint(boost::asio::io_context& context) {
  return HealthServer(context, {}).endpoint();
}

/// A listening socket whose queue is full: further SYNs are dropped.
class FullServer {
 public:
  explicit FullServer(boost::asio::io_context& context) : acceptor_(context) {
    using Tcp = boost::asio::ip::tcp;
    acceptor_.open(Tcp::v4());
    acceptor_.bind(own_loopback(0));
    acceptor_.listen(0);
    // The queue takes one more than its length (sk_acceptq_is_full); a few more, for kernels that count otherwise.
    for (int i = 0; i < 4; ++i) {
      queued_.emplace_back(context, Tcp::v4());
      queued_.back().native_non_blocking(true);
      const Tcp::endpoint own = acceptor_.local_endpoint();
      ::connect(queued_.back().native_handle(), own.data(), static_cast<socklen_t>(own.size()));  // Asio's would wait
    }
  }

  Endpoint endpoint() const { return {own_loopback(), acceptor_.local_endpoint().port()}; }

 private:
  boost::asio::ip::tcp::acceptor acceptor_;
  std::vector<boost::asio::ip::tcp::socket> queued_;
};

}  // namespace vipgate
