#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>

#include "absl/status/status.h"
#include "runtime/status.h"
#include "vipgate/address.h"

namespace vipgate::control {

/// Bytes of a request's header, and of its body, at most.
inline constexpr std::size_t kMaxHeader = 8192;
inline constexpr std::size_t kMaxBody = 65536;

/// Serves the control interface (api.h) as HTTP/1.1: on a UNIX socket, where root, the gateway's own user and perhaps
/// the members of a group are answered, and, if that is wanted, over TCP, where one can only look. A client that stalls
/// is let go after a while, or at once when others need its place (clients.h); none holds up another, and packets wait
/// for nobody.
class Server {
 public:
  Server(boost::asio::io_context& context, GatewayControl& gateway);
  /// Removes the socket, unless somebody else has put another one in its place. Clients that are still there are served
  /// no more.
  ~Server();

  /// Makes the socket (mode 0600, or with a group 0660 and the group's), and the folder it is in; replaces one that a
  /// killed predecessor left, or one of its own. The caller has made sure that no other gateway runs, or that it is to
  /// be replaced.
  absl::Status listen(const std::string& path, std::optional<std::uint32_t> group = {});

  /// Listens over TCP, too. While that cannot be, since the address is not there yet or a predecessor still has it, it
  /// is tried again each second; the log says so. At a loopback address only requests to an address or "localhost" are
  /// answered: a name may be a web page's, which had it point here (DNS rebinding).
  void listen(const Endpoint& endpoint);

 private:
  class LocalListener;
  class TcpListener;

  boost::asio::io_context& context_;
  GatewayControl& gateway_;
  std::unique_ptr<LocalListener> local_;
  std::shared_ptr<TcpListener> tcp_;  ///< none: it is not wanted
};

}  // namespace vipgate::control
