#include <optional>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "absl/strings/str_cat.h"
#include "runtime/health/connection.h"

namespace vipgate {
namespace {

namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::size_t kMaxHeader = 8192;
/// "A client MUST be able to parse one or more 1xx responses received prior to a final response" (RFC 9110 §15.2).
constexpr int kMaxInterim = 8;

class HttpCheck final : public RunningCheck, public std::enable_shared_from_this<HttpCheck> {
 public:
  HttpCheck(boost::asio::io_context& context, const Endpoint& backend, const HealthCheck& check, CheckDone done)
      : socket_(context), backend_(backend), status_(check.status), done_(std::move(done)) {
    request_.method(http::verb::get);
    request_.target(check.path);
    request_.version(11);
    request_.set(http::field::host, check.host.empty() ? backend.to_string() : check.host);
    request_.set(http::field::user_agent, "vipgate");
    request_.set(http::field::accept, "*/*");
    request_.set(http::field::connection, "close");
  }

  void start() {
    const auto next = [self = shared_from_this()](const error_code& error) { self->connected(error); };
    if (const error_code error = open_socket(socket_)) {
      boost::asio::post(socket_.get_executor(), [next, error] { next(error); });
    } else {
      socket_.async_connect(to_asio(backend_), next);
    }
  }

  std::string cancel() override {
    done_ = nullptr;
    close();
    return is_connected_ ? "no HTTP answer" : "no connection";
  }

 private:
  void connected(const error_code& error) {
    if (!done_) return;
    if (error) return finish(failure(error));
    if (is_connected_to_itself(socket_)) return finish({CheckVerdict::failed, "nobody listens"});
    is_connected_ = true;
    http::async_write(socket_, request_, [self = shared_from_this()](const error_code& trouble, std::size_t) {
      // A server may answer before it has read all, and close: what it said counts.
      if (self->done_ && trouble && trouble != boost::asio::error::broken_pipe) {
        self->finish(failure(trouble));
      } else if (self->done_) {
        self->read();
      }
    });
  }

  void read() {
    parser_.emplace();
    parser_->header_limit(kMaxHeader);
    parser_->body_limit(boost::none);  // the body is not read, so it may be of any size
    http::async_read_header(socket_, buffer_, *parser_,
                            [self = shared_from_this()](const error_code& error, std::size_t) { self->have(error); });
  }

  void have(const error_code& error) {
    if (!done_) return;
    if (error == http::error::end_of_stream || error == http::error::partial_message) {
      return finish({CheckVerdict::failed, "closed without an HTTP answer"});
    }
    if (error && error.category() != boost::system::system_category()) {
      return finish({CheckVerdict::failed, absl::StrCat("no HTTP answer: ", error.message())});
    }
    if (error) return finish(failure(error));
    const unsigned status = parser_->get().result_int();
    if (status < 200 && ++interim_ <= kMaxInterim) return read();
    finish(
        {status_.contains(status) ? CheckVerdict::passed : CheckVerdict::failed, absl::StrCat("HTTP status ", status)});
  }

  void finish(const CheckResult& result) {
    const CheckDone done = std::exchange(done_, nullptr);
    close();
    done(result);
  }

  void close() {
    error_code ignored;
    socket_.close(ignored);
  }

  boost::asio::ip::tcp::socket socket_;
  Endpoint backend_;
  HttpStatusRange status_;
  CheckDone done_;
  bool is_connected_ = false;
  int interim_ = 0;
  http::request<http::empty_body> request_;
  boost::beast::flat_buffer buffer_{2 * kMaxHeader};
  std::optional<http::response_parser<http::empty_body>> parser_;
};

}  // namespace

std::shared_ptr<RunningCheck> start_http_check(boost::asio::io_context& context, const Endpoint& backend,
                                               const HealthCheck& check, CheckDone done) {
  auto running = std::make_shared<HttpCheck>(context, backend, check, std::move(done));
  running->start();
  return running;
}

}  // namespace vipgate
