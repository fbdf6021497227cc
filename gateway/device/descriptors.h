#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "device/unique_fd.h"

namespace vipgate {

// Messages with descriptors, between processes, over UNIX sockets of SOCK_SEQPACKET (unix(7), SCM_RIGHTS).

/// Descriptors that one message can bear (SCM_MAX_FD of include/net/scm.h).
inline constexpr std::size_t kMaxPassedDescriptors = 253;

struct DescriptorMessage {
  std::string text;  ///< empty: the other end has closed
  std::vector<UniqueFd> descriptors;
};

absl::Status send_message(const UniqueFd& socket, std::string_view text, std::span<const int> descriptors = {});
/// Waits for one message. Longer texts than 8,192 bytes are cut off.
absl::StatusOr<DescriptorMessage> receive_message(const UniqueFd& socket);

/// A socket that listens under an abstract name, one per name and network namespace; AlreadyExists where there is one.
absl::StatusOr<UniqueFd> listen_at(const std::string& name);
/// A connection to who listens there; NotFound where nobody does.
absl::StatusOr<UniqueFd> connect_to(const std::string& name);
/// Abstract names have no access rights: whether the other end's process has this process's user.
bool is_of_same_user(const UniqueFd& socket);

}  // namespace vipgate
