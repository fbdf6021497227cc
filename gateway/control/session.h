#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
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

/// One client: request after request, until it leaves or stalls. An answer that is a stream is its last one.
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

  /// How long a stream's client may take nothing: it may be somebody who reads it page by page.
  static constexpr auto kPatienceWithStream = std::chrono::minutes(10);

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
             response.stream ? self->send_stream(response) : self->write(response, keep_alive);
           });
  }

  void write(const Response& response, bool keep_alive) {
    response_ = http::response<http::string_body>();
    fill_header(response_, response, keep_alive);
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

  template <typename Message>
  static void fill_header(Message& message, const Response& response, bool keep_alive) {
    message.version(11);
    message.result(static_cast<unsigned>(response.status));
    message.set(http::field::content_type, response.content_type);
    message.set(http::field::cache_control, "no-store");
    message.set("Content-Security-Policy", kPolicy);
    message.set("X-Content-Type-Options", "nosniff");
    message.keep_alive(keep_alive);
  }

  /// When it has begun, the header, and then piece by piece (RFC 9112 §7.1) what the source makes.
  void send_stream(const Response& response) {
    source_ = response.stream;
    source_->open([self = this->shared_from_this(), response] { self->send_stream_header(response); });
  }

  void send_stream_header(const Response& response) {
    fill_header(stream_header_, response, /*keep_alive=*/false);
    stream_header_.chunked(true);
    std::string names;
    for (const auto& [name, value] : source_->summary()) names += (names.empty() ? "" : ", ") + name;
    stream_header_.set(http::field::trailer, names);
    stream_.expires_never();
    watch_client();
    stream_.expires_after(kPatienceWithStream);
    http::async_write_header(stream_, header_serializer_,
                             [self = this->shared_from_this()](const Error& error, std::size_t) {
                               error ? self->end_stream() : self->await_piece();
                             });
  }

  /// Whoever closes its side, or says something more, has had enough. It gets the rest, if it still listens.
  void watch_client() {
    stream_.async_read_some(boost::asio::buffer(unasked_),
                            [self = this->shared_from_this()](const Error& error, std::size_t) {
                              if (error && error != boost::asio::error::eof) return self->end_stream();
                              if (self->source_) self->source_->stop();
                            });
  }

  /// The source forgets the session when it is let go.
  void await_piece() {
    if (!source_) return;
    is_served();
    source_->read([self = this->shared_from_this()](std::string piece) { self->write_piece(std::move(piece)); });
  }

  void write_piece(std::string piece) {
    awaits_reader();
    stream_.expires_after(kPatienceWithStream);
    if (piece.empty()) return write_last_piece();
    piece_ = std::move(piece);
    boost::asio::async_write(stream_, http::make_chunk(boost::asio::buffer(piece_)),
                             [self = this->shared_from_this()](const Error& error, std::size_t) {
                               error ? self->end_stream() : self->await_piece();
                             });
  }

  void write_last_piece() {
    for (const auto& [name, value] : source_->summary()) trailer_.set(name, value);
    boost::asio::async_write(stream_, http::make_chunk_last(trailer_),
                             [self = this->shared_from_this()](const Error&, std::size_t) { self->end_stream(); });
  }

  void end_stream() {
    source_.reset();
    Error ignored;
    stream_.socket().shutdown(Socket::shutdown_both, ignored);
  }

  boost::beast::basic_stream<Protocol> stream_;
  GatewayControl& gateway_;
  Manners manners_;
  boost::beast::flat_buffer buffer_{kMaxHeader + kMaxBody};
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> response_;
  bool is_head_ = false;

  std::shared_ptr<ByteSource> source_;  ///< of the stream that is sent
  http::response<http::empty_body> stream_header_;
  http::response_serializer<http::empty_body> header_serializer_{stream_header_};
  std::string piece_;
  http::fields trailer_;
  std::array<char, 16> unasked_;  ///< what a client says while it gets a stream
};

}  // namespace vipgate::control
