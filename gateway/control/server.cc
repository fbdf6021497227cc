#include "control/server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <optional>
#include <utility>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "absl/strings/str_cat.h"
#include "control/api.h"

namespace vipgate::control {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Local = asio::local::stream_protocol;
using Error = boost::system::error_code;

/// How long a client may take for a request, or to read its answer.
constexpr auto kPatience = std::chrono::seconds(10);
/// How long to wait before the next client when descriptors have run out.
constexpr auto kPause = std::chrono::milliseconds(100);

http::response<http::string_body> to_http(const Response& response, bool keep_alive) {
  http::response<http::string_body> message(static_cast<http::status>(response.status), 11);
  message.set(http::field::content_type, "application/json");
  message.keep_alive(keep_alive);
  message.body() = response.body + "\n";
  message.prepare_payload();
  return message;
}

bool is_permitted(Local::socket& socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == ::geteuid();
}

/// One client: request after request, until it leaves or stalls.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Local::socket socket, GatewayControl& gateway, std::shared_ptr<std::size_t> clients)
      : stream_(std::move(socket)), gateway_(gateway), clients_(std::move(clients)) {
    ++*clients_;
  }
  ~Session() { --*clients_; }

  void start() {
    if (!is_permitted(stream_.socket())) {
      refuse(403, "only root and the gateway's own user may ask");
    } else if (*clients_ > kMaxClients) {
      refuse(503, "too many clients; come again in a moment");
    } else {
      read();
    }
  }

 private:
  void refuse(int status, const char* what) { write({status, absl::StrCat(R"({"error":")", what, "\"}")}, false); }

  void read() {
    parser_.emplace();
    parser_->header_limit(kMaxHeader);
    parser_->body_limit(kMaxBody);
    stream_.expires_after(kPatience);
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](const Error& error, std::size_t) { self->have_read(error); });
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
    const bool keep_alive = message.keep_alive();
    answer({std::string(message.method_string()), std::string(message.target()), message.body()}, gateway_,
           [self = shared_from_this(), keep_alive](const Response& response) { self->write(response, keep_alive); });
  }

  void write(const Response& response, bool keep_alive) {
    response_ = to_http(response, keep_alive);
    stream_.expires_after(kPatience);
    http::async_write(stream_, response_, [self = shared_from_this(), keep_alive](const Error& error, std::size_t) {
      if (!error && keep_alive) self->read();
    });
  }

  beast::basic_stream<Local> stream_;
  GatewayControl& gateway_;
  std::shared_ptr<std::size_t> clients_;
  beast::flat_buffer buffer_{kMaxHeader + kMaxBody};
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> response_;
};

}  // namespace

class Server::Listener : public std::enable_shared_from_this<Server::Listener> {
 public:
  Listener(asio::io_context& context, GatewayControl& gateway)
      : acceptor_(context), pause_(context), gateway_(gateway) {}

  absl::Status listen(const std::string& path) {
    std::error_code no_folder;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), no_folder);
    struct stat found {};
    if (::lstat(path.c_str(), &found) == 0) {
      if (!S_ISSOCK(found.st_mode)) {
        return absl::AlreadyExistsError(
            absl::StrCat(path, " is there already and no socket; name another with \"control\": { \"socket\" }"));
      }
      (void)::unlink(path.c_str());
    }
    Error error;
    if (acceptor_.is_open()) acceptor_.close(error);
    acceptor_.open(Local(), error);
    const mode_t mask = ::umask(0177);  // from its first moment on, nobody else can connect
    if (!error) acceptor_.bind(Local::endpoint(path), error);
    ::umask(mask);
    if (!error) path_ = path;
    if (::lstat(path.c_str(), &found) == 0) inode_ = found.st_ino;
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
      return absl::UnavailableError(absl::StrCat("cannot make the control socket ", path, ": ", error.message(),
                                                 "; name another with \"control\": { \"socket\" }"));
    }
    accept();
    return absl::OkStatus();
  }

  void close() {
    Error ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    struct stat found {};
    // A gateway that took this one's place has a socket of its own there.
    const bool own = !path_.empty() && ::lstat(path_.c_str(), &found) == 0 && found.st_ino == inode_;
    if (own) (void)::unlink(path_.c_str());
  }

 private:
  void accept() {
    acceptor_.async_accept([self = shared_from_this()](const Error& error, Local::socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (error) return self->accept_later();
      std::make_shared<Session>(std::move(socket), self->gateway_, self->clients_)->start();
      self->accept();
    });
  }

  void accept_later() {
    pause_.expires_after(kPause);
    pause_.async_wait([self = shared_from_this()](const Error& error) {
      if (!error) self->accept();
    });
  }

  Local::acceptor acceptor_;
  asio::steady_timer pause_;
  GatewayControl& gateway_;
  std::string path_;
  ino_t inode_ = 0;  ///< of the socket at the path
  std::shared_ptr<std::size_t> clients_ = std::make_shared<std::size_t>(0);
};

Server::Server(asio::io_context& context, GatewayControl& gateway)
    : listener_(std::make_shared<Listener>(context, gateway)) {}

Server::~Server() {
  listener_->close();
}

absl::Status Server::listen(const std::string& path) {
  return listener_->listen(path);
}

}  // namespace vipgate::control
