#include "control/client.h"

#include <chrono>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
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

}  // namespace

absl::StatusOr<Response> ask(const std::string& socket, const Request& request) {
  asio::io_context context;
  beast::basic_stream<Local> stream(context);
  stream.expires_after(kPatience);

  http::request<http::string_body> message;
  message.method_string(request.method);
  message.target(request.target);
  message.set(http::field::host, "vipgate");
  message.keep_alive(false);
  message.body() = request.body;
  message.prepare_payload();
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(kMaxAnswer);

  Error failed;
  stream.async_connect(Local::endpoint(socket), [&](const Error& unconnected) {
    if ((failed = unconnected)) return;
    // Who is refused may be told before the request is there, and it cannot be sent any more then.
    http::async_write(stream, message, [&](const Error& unsent, std::size_t) {
      http::async_read(stream, buffer, parser,
                       [&, unsent](const Error& unread, std::size_t) { failed = unread && unsent ? unsent : unread; });
    });
  });
  context.run();
  if (failed == boost::system::errc::permission_denied) {
    return absl::PermissionDeniedError(
        absl::StrCat(socket, ": ", failed.message(),
                     ": only root, the gateway's own user and the members of control.group may ask"));
  }
  if (failed) {
    return absl::UnavailableError(
        absl::StrCat("no gateway answers at ", socket, ": ", failed.message(),
                     "; start it, or name its socket with --socket or its file with --config"));
  }
  return Response{.status = static_cast<int>(parser.get().result_int()), .body = parser.get().body()};
}

}  // namespace vipgate::control
