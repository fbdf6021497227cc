#include <utility>

#include <boost/asio/post.hpp>

#include "runtime/health/connection.h"

namespace vipgate {
namespace {

using boost::system::error_code;

/// Closes in order: a RST would spare this host a minute of TIME_WAIT, but servers note it as an error of the client's.
class TcpCheck final : public RunningCheck, public std::enable_shared_from_this<TcpCheck> {
 public:
  TcpCheck(boost::asio::io_context& context, CheckDone done) : socket_(context), done_(std::move(done)) {}

  void start(const Endpoint& backend) {
    const auto finish = [self = shared_from_this()](const error_code& error) { self->connected(error); };
    if (const error_code error = open_socket(socket_)) {
      boost::asio::post(socket_.get_executor(), [finish, error] { finish(error); });
    } else {
      socket_.async_connect(to_asio(backend), finish);
    }
  }

  std::string cancel() override {
    done_ = nullptr;
    close();
    return "no connection";
  }

 private:
  void connected(const error_code& error) {
    const CheckDone done = std::exchange(done_, nullptr);
    if (!done) return;
    const bool to_itself = !error && is_connected_to_itself(socket_);
    close();
    if (error) return done(failure(error));
    if (to_itself) return done({CheckVerdict::failed, "nobody listens"});
    done({CheckVerdict::passed, "connected"});
  }

  void close() {
    error_code ignored;
    socket_.close(ignored);
  }

  boost::asio::ip::tcp::socket socket_;
  CheckDone done_;
};

}  // namespace

std::shared_ptr<RunningCheck> start_tcp_check(boost::asio::io_context& context, const Endpoint& backend,
                                              CheckDone done) {
  auto check = std::make_shared<TcpCheck>(context, std::move(done));
  check->start(backend);
  return check;
}

}  // namespace vipgate
