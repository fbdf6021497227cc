#include "control/peer.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace vipgate::control {
namespace {

bool is_member(int socket, gid_t group) {
  std::vector<gid_t> groups(64);
  for (;;) {
    auto size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    const int result = ::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size);
    const std::size_t count = size / sizeof(gid_t);
    if (result == 0) {
      groups.resize(count);
      return std::find(groups.begin(), groups.end(), group) != groups.end();
    }
    if (errno != ERANGE || count <= groups.size()) return false;
    groups.resize(count);
  }
}

}  // namespace

Peer peer_of(int socket, std::optional<std::uint32_t> group) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return Peer::stranger;
  if (peer.uid == 0) return Peer::root;
  if (peer.uid == ::geteuid()) return Peer::permitted;
  if (!group) return Peer::stranger;
  return peer.gid == *group || is_member(socket, *group) ? Peer::permitted : Peer::stranger;
}

}  // namespace vipgate::control
