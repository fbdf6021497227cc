#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "absl/strings/str_cat.h"
#include "control/api.h"
#include "control/clients.h"
#include "control/server.h"

namespace vipgate::control {

namespace http = boost::beast::http;

/// How the clients of a listener are treated.
struct Manners {
  Access access = Access::read;
  bool local_names_only = false;  ///< answers only requests to addresses and "localhost"
};

/// Whether a request's Host says an address or "localhost", with a port or without.
inline bool names_local_host(std::string_view host) {
  const std::string_view name = host.substr(0, host.find(':'));
  return name == "localhost" || Ipv4Address::parse(name).has_value();
}

/// One client: request after request, until it leaves or stalls.
template <typename Protocol>
class Session final : public Client, public std::enable_shared_from_this<Session<Protocol>> {
 public:
  using Socket = typename Protocol::socket;

  Session(Socket socket, GatewayControl& gateway, Manners manners, Rank rank)
      : Client(rank), stream_(std::move(socket)), gateway_(gateway), manners_(manners) {}

  void start(Clients& clients) {
    if (!clients.admit(*this)) return refuse(503, "too many clients; come again in a moment");
    read();
  }

  void refuse(int status, const char* what) {
    write({.status = status, .body = absl::StrCat(R"({"error":")", what, "\"}")}, /*keep_alive=*/false);
  }

 private:
  using Error = boost::system::error_code;

  /// How long a client may take for a request, or to read its answer.
  static constexpr auto kPatience = std::chrono::seconds(10);

  /// What a browser lets our page do: its own script and style, and requests to us.
  static constexpr const char* kPolicy =
      "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
      "frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

  void make_way() override { stream_.close(); }

  void read() {
    awaits_request();
    parser_.emplace();
    parser_->header_limit(kMaxHeader);
    parser_->body_limit(kMaxBody);
    stream_.expires_after(kPatience);
    http::async_read(stream_, buffer_, *parser_,
                     [self = this->shared_from_this()](const Error& error, std::size_t) { self->have_read(error); });
  }

  void have_read(const Error& error) {
    if (error == http::error::header_limit || error == http::error::body_limit) {
      return refuse(413, "the request is too large");
    }
    if (error) {  // the client has left, stalls, or does not speak HTTP
      const bool malformed = error.category() == http::make_error_code(http::error::bad_method).category() &&
                             error != http::error::end_of_stream && error != http::error::partial_message;
      if (malformed) refuse(400, "that is no HTTP request");
      return;
    }
    const auto& message = parser_->get();
    const auto host = message[http::field::host];
    if (manners_.local_names_only && !names_local_host({host.data(), host.size()})) {
      return refuse(421, "ask by an address or by localhost: another name may be a trick of a web page");
    }
    is_served();
    is_head_ = message.method() == http::verb::head;
    const bool keep_alive = message.keep_alive();
    answer({std::string(message.method_string()), std::string(message.target()), message.body()}, manners_.access,
           gateway_, [self = this->shared_from_this(), keep_alive](const Response& response) {
             self->write(response, keep_alive);
           });
  }

  void write(const Response& response, bool keep_alive) {
    response_ = http::response<http::string_body>(static_cast<http::status>(response.status), 11);
    response_.set(http::field::content_type, response.content_type);
    response_.set(http::field::cache_control, "no-store");
    response_.set("Content-Security-Policy", kPolicy);
    response_.set("X-Content-Type-Options", "nosniff");
    response_.keep_alive(keep_alive);
    response_.body() = response.body;
    if (response.content_type == Response().content_type) response_.body() += "\n";
    response_.prepare_payload();
    if (std::exchange(is_head_, false)) response_.body().clear();  // its length stays (RFC 9110 §8.6)
    awaits_reader();
    stream_.expires_after(kPatience);
    http::async_write(stream_, response_,
                      [self = this->shared_from_this(), keep_alive](const Error& error, std::size_t) {
                        if (!error && keep_alive) self->read();
                      });
  }

  boost::beast::basic_stream<Protocol> stream_;
  GatewayControl& gateway_;
  Manners manners_;
  boost::beast::flat_buffer buffer_{kMaxHeader + kMaxBody};
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> response_;
  bool is_head_ = false;
};

}  // namespace vipgate::control
