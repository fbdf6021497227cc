#include "runtime/health/connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace vipgate {

namespace asio = boost::asio;
using boost::system::error_code;

error_code open_socket(asio::ip::tcp::socket& socket) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return {errno, boost::system::system_category()};
  error_code error;
  socket.assign(asio::ip::tcp::v4(), fd, error);
  if (error) ::close(fd);
  return error;
}

asio::ip::tcp::endpoint to_asio(const Endpoint& endpoint) {
  return {asio::ip::address_v4(endpoint.address.value()), endpoint.port};
}

bool is_connected_to_itself(const asio::ip::tcp::socket& socket) {
  error_code error;
  const auto own = socket.local_endpoint(error);
  return !error && own == socket.remote_endpoint(error) && !error;
}

bool is_own_trouble(int error) {
  switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EAGAIN:
    case EADDRNOTAVAIL:  // no source port is left
      return true;
    default:
      return false;
  }
}

CheckResult failure(const error_code& error) {
  std::string reason = error.message();
  if (!reason.empty()) reason.front() = absl::ascii_tolower(static_cast<unsigned char>(reason.front()));
  if (error.category() == boost::system::system_category() && is_own_trouble(error.value())) {
    return {CheckVerdict::unknown, absl::StrCat("cannot be made: ", reason)};
  }
  return {CheckVerdict::failed, std::move(reason)};
}

}  // namespace vipgate
