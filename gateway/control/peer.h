#pragma once

#include <cstdint>
#include <optional>

namespace vipgate::control {

/// Who is at the other end of a UNIX socket, to the gateway.
enum class Peer : std::uint8_t {
  root,
  permitted,  ///< the gateway's own user, or a member of the group
  stranger,
};

/// As the kernel has it of the moment when they connected: SO_PEERCRED and SO_PEERGROUPS of unix(7), socket(7).
/// `group`: whose members are permitted, by whichever of their groups; none: nobody's.
Peer peer_of(int socket, std::optional<std::uint32_t> group);

}  // namespace vipgate::control
