#include "device/descriptors.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace vipgate {
namespace {

constexpr std::size_t kMaxText = 8192;
constexpr std::size_t kControlSize = CMSG_SPACE(kMaxPassedDescriptors * sizeof(int));

struct Address {
  sockaddr_un socket{};
  socklen_t length = 0;

  const sockaddr* generic() const { return reinterpret_cast<const sockaddr*>(&socket); }
};

/// A leading zero byte makes the name abstract.
absl::StatusOr<Address> address_of(const std::string& name) {
  Address address;
  address.socket.sun_family = AF_UNIX;
  if (name.size() >= sizeof(address.socket.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("'", name, "' is too long for a socket"));
  }
  std::memcpy(address.socket.sun_path + 1, name.data(), name.size());
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return address;
}

UniqueFd new_socket() {
  return UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
}

}  // namespace

absl::Status send_message(const UniqueFd& socket, std::string_view text, std::span<const int> descriptors) {
  if (descriptors.size() > kMaxPassedDescriptors) {
    return absl::InvalidArgumentError(absl::StrCat("no more than ", kMaxPassedDescriptors, " descriptors at once"));
  }
  iovec part{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, kControlSize> control{};
  if (!descriptors.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  }
  ssize_t sent = -1;
  do {
    sent = ::sendmsg(socket.get(), &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? absl::ErrnoToStatus(errno, "cannot pass descriptors") : absl::OkStatus();
}

absl::StatusOr<DescriptorMessage> receive_message(const UniqueFd& socket) {
  std::array<char, kMaxText> text{};
  iovec part{text.data(), text.size()};
  alignas(cmsghdr) std::array<char, kControlSize> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t size = -1;
  do {
    size = ::recvmsg(socket.get(), &message, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return absl::ErrnoToStatus(errno, "cannot receive descriptors");
  DescriptorMessage received{.text = {text.data(), static_cast<std::size_t>(size)}, .descriptors = {}};
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = 0; at + sizeof(int) <= header->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
      int descriptor = -1;
      std::memcpy(&descriptor, CMSG_DATA(header) + at, sizeof(descriptor));
      received.descriptors.emplace_back(descriptor);
    }
  }
  return received;
}

absl::StatusOr<UniqueFd> listen_at(const std::string& name) {
  const absl::StatusOr<Address> address = address_of(name);
  if (!address.ok()) return address.status();
  UniqueFd listener = new_socket();
  if (!listener) return absl::ErrnoToStatus(errno, "cannot make a socket");
  if (::bind(listener.get(), address->generic(), address->length) != 0 || ::listen(listener.get(), SOMAXCONN) != 0) {
    if (errno == EADDRINUSE) return absl::AlreadyExistsError(absl::StrCat("somebody listens at '", name, "' already"));
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot listen at '", name, "'"));
  }
  return listener;
}

absl::StatusOr<UniqueFd> connect_to(const std::string& name) {
  const absl::StatusOr<Address> address = address_of(name);
  if (!address.ok()) return address.status();
  UniqueFd connection = new_socket();
  if (!connection) return absl::ErrnoToStatus(errno, "cannot make a socket");
  if (::connect(connection.get(), address->generic(), address->length) != 0) {
    if (errno == ECONNREFUSED) return absl::NotFoundError(absl::StrCat("nobody listens at '", name, "'"));
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot connect to '", name, "'"));
  }
  return connection;
}

bool is_of_same_user(const UniqueFd& socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == ::geteuid();
}

}  // namespace vipgate
