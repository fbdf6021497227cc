#include "control/server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <utility>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>

#include "absl/strings/str_cat.h"
#include "control/api.h"
#include "control/session.h"
#include "runtime/log.h"

namespace vipgate::control {
namespace {

namespace asio = boost::asio;
using Local = asio::local::stream_protocol;
using Tcp = asio::ip::tcp;
using Error = boost::system::error_code;

/// How long to wait before the next client when descriptors have run out.
constexpr auto kPause = std::chrono::milliseconds(100);
/// How long to wait until an address is tried again.
constexpr auto kRetry = std::chrono::seconds(1);
/// After how many vain tries it is said: a predecessor that just makes way has the address a moment longer.
constexpr int kToldAfter = 3;

bool is_permitted(Local::socket& socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == ::geteuid();
}
bool is_permitted(Tcp::socket& /*socket*/) {
  return true;
}

/// Lets clients in, one after the other. Lives until close(), and as long as somebody waits.
template <typename Protocol>
class Doorman : public std::enable_shared_from_this<Doorman<Protocol>> {
 public:
  Doorman(asio::io_context& context, GatewayControl& gateway)
      : acceptor_(context), pause_(context), gateway_(gateway) {}

  /// Calls bind(acceptor), which returns an error, on the open socket.
  template <typename Bind>
  Error open(Manners manners, Bind&& bind) {
    manners_ = manners;
    Error error;
    if (acceptor_.is_open()) acceptor_.close(error);
    acceptor_.open(protocol(), error);
    if (!error) error = bind(acceptor_);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (!error) accept();
    return error;
  }

  void close() {
    Error ignored;
    acceptor_.close(ignored);
    pause_.cancel();
  }

 private:
  static Protocol protocol() {
    if constexpr (std::is_same_v<Protocol, Tcp>) {
      return Tcp::v4();
    } else {
      return Protocol();
    }
  }

  void accept() {
    acceptor_.async_accept([self = this->shared_from_this()](const Error& error, typename Protocol::socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (error) return self->accept_later();
      const bool permitted = is_permitted(socket);
      const auto session =
          std::make_shared<Session<Protocol>>(std::move(socket), self->gateway_, self->manners_, self->clients_);
      permitted ? session->start() : session->refuse(403, "only root and the gateway's own user may ask");
      self->accept();
    });
  }

  void accept_later() {
    pause_.expires_after(kPause);
    pause_.async_wait([self = this->shared_from_this()](const Error& error) {
      if (!error) self->accept();
    });
  }

  typename Protocol::acceptor acceptor_;
  asio::steady_timer pause_;
  GatewayControl& gateway_;
  Manners manners_;
  std::shared_ptr<std::size_t> clients_ = std::make_shared<std::size_t>(0);
};

}  // namespace

class Server::LocalListener {
 public:
  LocalListener(asio::io_context& context, GatewayControl& gateway)
      : doorman_(std::make_shared<Doorman<Local>>(context, gateway)) {}

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
    const Error error = doorman_->open({.access = Access::change}, [&](Local::acceptor& acceptor) {
      Error failed;
      const mode_t mask = ::umask(0177);  // from its first moment on, nobody else can connect
      acceptor.bind(Local::endpoint(path), failed);
      ::umask(mask);
      if (!failed) path_ = path;
      if (::lstat(path.c_str(), &found) == 0) inode_ = found.st_ino;
      return failed;
    });
    if (!error) return absl::OkStatus();
    return absl::UnavailableError(absl::StrCat("cannot make the control socket ", path, ": ", error.message(),
                                               "; name another with \"control\": { \"socket\" }"));
  }

  ~LocalListener() {
    doorman_->close();
    struct stat found {};
    // A gateway that took this one's place has a socket of its own there.
    const bool own = !path_.empty() && ::lstat(path_.c_str(), &found) == 0 && found.st_ino == inode_;
    if (own) (void)::unlink(path_.c_str());
  }

 private:
  std::shared_ptr<Doorman<Local>> doorman_;
  std::string path_;
  ino_t inode_ = 0;  ///< of the socket at the path
};

class Server::TcpListener : public std::enable_shared_from_this<Server::TcpListener> {
 public:
  TcpListener(asio::io_context& context, GatewayControl& gateway, const Endpoint& endpoint)
      : doorman_(std::make_shared<Doorman<Tcp>>(context, gateway)), retry_(context), endpoint_(endpoint) {}

  void listen() {
    const asio::ip::address_v4 address(endpoint_.address.value());
    const Manners manners{.access = Access::read, .local_names_only = address.is_loopback()};
    const Error error = doorman_->open(manners, [&](Tcp::acceptor& acceptor) {
      Error failed;
      acceptor.set_option(asio::socket_base::reuse_address(true), failed);
      if (!failed) acceptor.bind({address, endpoint_.port}, failed);
      return failed;
    });
    if (error) return listen_later(error);
    log_info(absl::StrCat("can be looked at over http://", endpoint_.to_string()));
  }

  void close() {
    doorman_->close();
    retry_.cancel();
  }

 private:
  void listen_later(const Error& error) {
    if (++failures_ == kToldAfter) {
      log_warning(absl::StrCat("cannot listen at ", endpoint_.to_string(), ", control.http: ", error.message(),
                               "; it is tried again each second"));
    }
    retry_.expires_after(kRetry);
    retry_.async_wait([self = shared_from_this()](const Error& cancelled) {
      if (!cancelled) self->listen();
    });
  }

  std::shared_ptr<Doorman<Tcp>> doorman_;
  asio::steady_timer retry_;
  Endpoint endpoint_;
  int failures_ = 0;
};

Server::Server(asio::io_context& context, GatewayControl& gateway)
    : context_(context), gateway_(gateway), local_(std::make_unique<LocalListener>(context, gateway)) {}

Server::~Server() {
  if (tcp_) tcp_->close();
}

absl::Status Server::listen(const std::string& path) {
  return local_->listen(path);
}

void Server::listen(const Endpoint& endpoint) {
  if (tcp_) tcp_->close();
  tcp_ = std::make_shared<TcpListener>(context_, gateway_, endpoint);
  tcp_->listen();
}

}  // namespace vipgate::control
