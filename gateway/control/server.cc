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
#include "control/clients.h"
#include "control/peer.h"
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
/// For chown(2): only the group changes.
constexpr auto kSameUser = static_cast<uid_t>(-1);

using Group = std::optional<std::uint32_t>;

Peer peer_at(Local::socket& socket, Group group) {
  return peer_of(socket.native_handle(), group);
}
/// Over TCP nobody is asked who they are, and nobody can change anything.
Peer peer_at(Tcp::socket& /*socket*/, Group /*group*/) {
  return Peer::permitted;
}

/// Lets clients in, one after the other. Lives until close(), and as long as somebody waits.
template <typename Protocol>
class Doorman : public std::enable_shared_from_this<Doorman<Protocol>> {
 public:
  Doorman(asio::io_context& context, GatewayControl& gateway)
      : acceptor_(context), pause_(context), gateway_(gateway) {}

  /// Calls bind(acceptor), which returns an error, on the open socket.
  template <typename Bind>
  Error open(Manners manners, Group group, Bind&& bind) {
    manners_ = manners;
    group_ = group;
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
      self->let_in(std::move(socket));
      self->accept();
    });
  }

  void let_in(typename Protocol::socket socket) {
    const Peer peer = peer_at(socket, group_);
    const Rank rank = peer == Peer::root ? Rank::root : Rank::ordinary;
    const auto session = std::make_shared<Session<Protocol>>(std::move(socket), gateway_, manners_, rank);
    if (peer != Peer::stranger) return session->start(*clients_);
    session->refuse(403, "only root, the gateway's own user and the members of control.group may ask");
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
  Group group_;
  std::shared_ptr<Clients> clients_ = std::make_shared<Clients>();
};

}  // namespace

class Server::LocalListener {
 public:
  LocalListener(asio::io_context& context, GatewayControl& gateway)
      : doorman_(std::make_shared<Doorman<Local>>(context, gateway)) {}

  absl::Status listen(const std::string& path, Group group) {
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
    bool shared = true;
    const Error error = doorman_->open({.access = Access::change}, group, [&](Local::acceptor& acceptor) {
      Error failed;
      const mode_t mask = ::umask(0177);  // from its first moment on, nobody else can connect
      acceptor.bind(Local::endpoint(path), failed);
      ::umask(mask);
      if (failed) return failed;
      path_ = path;
      if (::lstat(path.c_str(), &found) == 0) inode_ = found.st_ino;
      shared = !group || (::chown(path.c_str(), kSameUser, *group) == 0 && ::chmod(path.c_str(), 0660) == 0);
      if (!shared) failed = Error(errno, boost::system::system_category());
      return failed;
    });
    if (!shared) {
      return absl::PermissionDeniedError(absl::StrCat("cannot give the control socket ", path, " to group ", *group,
                                                      ", control.group: ", error.message(),
                                                      "; make the gateway's user a member of it"));
    }
    if (!error && group) warn_of_a_closed_folder(*group);
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
  void warn_of_a_closed_folder(std::uint32_t group) const {
    const std::string folder = std::filesystem::path(path_).parent_path();
    struct stat found {};
    if (::stat(folder.c_str(), &found) != 0) return;
    const mode_t needed = found.st_gid == group ? S_IXGRP : S_IXOTH;
    if ((found.st_mode & needed) != 0) return;
    log_warning(absl::StrCat("members of group ", group, ", control.group, do not get through ", folder,
                             " to the control socket; chmod ", needed == S_IXGRP ? "g" : "o", "+x ", folder));
  }

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
    const Error error = doorman_->open(manners, /*group=*/{}, [&](Tcp::acceptor& acceptor) {
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

absl::Status Server::listen(const std::string& path, Group group) {
  return local_->listen(path, group);
}

void Server::listen(const Endpoint& endpoint) {
  if (tcp_) tcp_->close();
  tcp_ = std::make_shared<TcpListener>(context_, gateway_, endpoint);
  tcp_->listen();
}

}  // namespace vipgate::control
