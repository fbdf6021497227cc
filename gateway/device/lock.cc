#include "device/lock.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace vipgate {
namespace {

constexpr std::chrono::milliseconds kPause{20};

UniqueFd unix_socket() {
  return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

std::string holder_of(const sockaddr* address, socklen_t length) {
  const UniqueFd probe = unix_socket();
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (!probe || ::connect(probe.get(), address, length) != 0 ||
      ::getsockopt(probe.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid == 0) {
    return "another process";
  }
  return absl::StrCat("process ", peer.pid);
}

}  // namespace

absl::StatusOr<UniqueFd> take_namespace_lock(const std::string& name, std::chrono::milliseconds patience) {
  const std::string path = absl::StrCat("vipgate/", name);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("lock name '", name, "' is too long"));
  }
  std::memcpy(address.sun_path + 1, path.data(), path.size());  // a leading zero byte makes the name abstract
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + path.size());
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);

  UniqueFd lock = unix_socket();
  if (!lock) return absl::ErrnoToStatus(errno, "cannot make a socket for the lock");
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (::bind(lock.get(), generic, length) != 0) {
    if (errno != EADDRINUSE) return absl::ErrnoToStatus(errno, absl::StrCat("cannot take the lock '", name, "'"));
    if (std::chrono::steady_clock::now() >= deadline) {
      return absl::AlreadyExistsError(absl::StrCat(holder_of(generic, length), " holds '", name, "'"));
    }
    std::this_thread::sleep_for(kPause);
  }
  // Nobody is ever accepted: a connection tells a second process who holds the lock.
  if (::listen(lock.get(), SOMAXCONN) != 0) return absl::ErrnoToStatus(errno, "cannot listen on the lock");
  return lock;
}

}  // namespace vipgate
