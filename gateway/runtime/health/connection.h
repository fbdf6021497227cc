#pragma once

#include <string>

#include <boost/asio/ip/tcp.hpp>

#include "runtime/health/check.h"

// What checks over TCP share.
namespace vipgate {

/// A socket that programs started later do not inherit; Asio's own would be. Throws nothing.
boost::system::error_code open_socket(boost::asio::ip::tcp::socket& socket);

boost::asio::ip::tcp::endpoint to_asio(const Endpoint& endpoint);

/// Whether the socket's own end is the peer's: two SYNs of one socket met (RFC 9293 §3.5), and nobody listens.
bool is_connected_to_itself(const boost::asio::ip::tcp::socket& socket);

/// Whether the error is about this host's means, not about the backend.
bool is_own_trouble(int error);

/// An errno as a reason: "connection refused", "cannot be made: too many open files".
CheckResult failure(const boost::system::error_code& error);

}  // namespace vipgate
