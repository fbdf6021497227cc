#include "control/client.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <memory>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "absl/strings/str_cat.h"

namespace vipgate::control {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Local = asio::local::stream_protocol;
using Error = boost::system::error_code;

/// A reload of a large configuration takes a second or so.
constexpr auto kPatience = std::chrono::seconds(30);
/// A status of 10,000 services has some megabytes.
constexpr std::size_t kMaxAnswer = std::size_t{256} << 20;

http::request<http::string_body> message_of(const Request& request) {
  http::request<http::string_body> message;
  message.method_string(request.method);
  message.target(request.target);
  message.set(http::field::host, "vipgate");
  message.keep_alive(false);
  message.body() = request.body;
  message.prepare_payload();
  return message;
}

/// Stands in line where others crowd the socket. Asio's own way would not: it takes EAGAIN, with which a full one turns
/// away who does not wait (unix(7)), for a connection that is under way.
Error connect(beast::basic_stream<Local>& stream, const std::string& path) {
  Error error;
  stream.socket().open(Local(), error);
  if (error) return error;
  const timeval patience{.tv_sec = kPatience.count(), .tv_usec = 0};
  const int socket = stream.socket().native_handle();
  (void)::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  const Local::endpoint endpoint(path);
  if (::connect(socket, endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0) {
    error.assign(errno, boost::system::system_category());
  }
  return error;
}

absl::Status no_answer(const std::string& socket, const Error& error) {
  if (error == boost::system::errc::permission_denied) {
    return absl::PermissionDeniedError(absl::StrCat(
        socket, ": ", error.message(), ": only root, the gateway's own user and the members of control.group may ask"));
  }
  return absl::UnavailableError(absl::StrCat("no gateway answers at ", socket, ": ", error.message(),
                                             "; start it, or name its socket with --socket or its file with --config"));
}

/// One stream, from the request to its end.
class StreamReader {
 public:
  StreamReader(const Request& request, const std::function<bool(std::string_view)>& take)
      : take_(take), message_(message_of(request)) {
    parser_.body_limit(boost::none);
  }

  absl::StatusOr<Stream> run(const std::string& socket) {
    if (const Error unconnected = connect(stream_, socket)) return no_answer(socket, unconnected);
    stream_.expires_after(kPatience);
    http::async_write(stream_, message_, [this](const Error& unsent, std::size_t) {
      if ((failed_ = unsent)) return;
      http::async_read_header(stream_, buffer_, parser_, [this](const Error& unread, std::size_t) {
        if ((failed_ = unread)) return;
        begin();
      });
    });
    context_.run();
    if (failed_) return no_answer(socket, failed_);
    result_.response.status = static_cast<int>(parser_.get().result_int());
    for (const auto& field : parser_.get()) {
      result_.summary.emplace(std::string(field.name_string()), std::string(field.value()));
    }
    return std::move(result_);
  }

 private:
  void begin() {
    stream_.expires_never();
    wait_for_signal();
    if (parser_.get().result() == http::status::ok && !take_({})) end();
    read();
  }

  void wait_for_signal() {
    signals_.async_wait([this](const Error& error, int) {
      if (error) return;
      ended_ ? stream_.close() : end();
      wait_for_signal();
    });
  }

  /// The gateway then sends the rest.
  void end() {
    if (std::exchange(ended_, true)) return;
    Error ignored;
    stream_.socket().shutdown(Local::socket::shutdown_send, ignored);
  }

  void read() {
    if (parser_.is_done()) return signals_.cancel();
    auto& body = parser_.get().body();
    body.data = piece_.data();
    body.size = piece_.size();
    http::async_read_some(stream_, buffer_, parser_, [this](const Error& error, std::size_t) {
      take(std::string_view(piece_.data(), piece_.size() - parser_.get().body().size));
      if (!error || error == http::error::need_buffer) return read();
      result_.whole = false;
      signals_.cancel();
    });
  }

  void take(std::string_view piece) {
    if (parser_.get().result() != http::status::ok) {
      result_.response.body += piece;
    } else if (!piece.empty() && !take_(piece)) {
      end();
    }
  }

  const std::function<bool(std::string_view)>& take_;
  asio::io_context context_;
  beast::basic_stream<Local> stream_{context_};
  asio::signal_set signals_{context_, SIGINT, SIGTERM};
  http::request<http::string_body> message_;
  beast::flat_buffer buffer_;
  http::response_parser<http::buffer_body> parser_;
  std::array<char, std::size_t{256} * 1024> piece_;
  bool ended_ = false;
  Error failed_;
  Stream result_;
};

}  // namespace

absl::StatusOr<Stream> ask_for_stream(const std::string& socket, const Request& request,
                                      const std::function<bool(std::string_view)>& take) {
  return std::make_unique<StreamReader>(request, take)->run(socket);
}

absl::StatusOr<Response> ask(const std::string& socket, const Request& request) {
  asio::io_context context;
  beast::basic_stream<Local> stream(context);
  if (const Error unconnected = connect(stream, socket)) return no_answer(socket, unconnected);
  stream.expires_after(kPatience);

  http::request<http::string_body> message = message_of(request);
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(kMaxAnswer);

  Error failed;
  // Who is refused may be told before the request is there, and it cannot be sent any more then.
  http::async_write(stream, message, [&](const Error& unsent, std::size_t) {
    http::async_read(stream, buffer, parser,
                     [&, unsent](const Error& unread, std::size_t) { failed = unread && unsent ? unsent : unread; });
  });
  context.run();
  if (failed) return no_answer(socket, failed);
  return Response{.status = static_cast<int>(parser.get().result_int()), .body = parser.get().body()};
}

}  // namespace vipgate::control
