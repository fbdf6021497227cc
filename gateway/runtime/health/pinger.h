#pragma once

#include <memory>

#include <boost/asio/io_context.hpp>

#include "runtime/health/check.h"

namespace vipgate {

/// Sends ICMP echo requests (RFC 792) and tells their replies apart: one socket for all.
///
/// Ping sockets need no rights, but the kernel allows them to few (net.ipv4.ping_group_range); else a raw socket, which
/// needs CAP_NET_RAW.
class Pinger {
 public:
  explicit Pinger(boost::asio::io_context& context);
  ~Pinger();

  /// One request. Passes with the reply; a lost one never ends. Fewer than 65,536 at a time.
  std::shared_ptr<RunningCheck> start(Ipv4Address backend, CheckDone done);

 private:
  class Socket;
  class Ping;

  std::shared_ptr<Socket> socket_;
};

}  // namespace vipgate
