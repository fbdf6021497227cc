#pragma once

#include <sys/types.h>

#include <chrono>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "device/unique_fd.h"

namespace vipgate {

// A small process beside the gateway that has the queues of its TUN open, too: when the gateway is killed, the device
// keeps its carrier, with all that routes and routing daemons make of it, and the queues keep packets until the next
// gateway takes them over. Re-attached queues would have lost both.
//
// There is one for a device, since its socket's abstract name (unix(7)) can be taken once in a network namespace. Its
// messages: the owner sends "hold" with all queues, and "leave"; the keeper sends "queues" with them to a new owner.
// The connection of the owner is the sign that it lives.

/// How long queues are kept without an owner.
inline constexpr std::chrono::seconds kKeeperPatience{30};

/// The owner's end.
class Keeper {
 public:
  explicit Keeper(const std::string& device);

  /// The queues that the keeper of a killed predecessor has; none where there is no keeper. To be called by who is the
  /// only gateway on the device.
  std::vector<UniqueFd> take_over();
  /// The connection to the keeper, for the gateway that takes this one's place; and that gateway goes on with it.
  const UniqueFd& connection() const { return connection_; }
  void take_over(UniqueFd connection) { connection_ = std::move(connection); }
  /// From now on the keeper holds these; starts one where there is none.
  absl::Status hold(std::span<const int> queues);
  /// Ends the keeper, at once.
  void dismiss();

 private:
  absl::Status start();

  std::string name_;  ///< of its socket
  UniqueFd connection_;
  pid_t child_ = 0;  ///< 0: the keeper is another process's child, or there is none
};

/// The keeper's end: serves `owner`, and later owners that come through `listener`, until it is told to leave or
/// nobody has come for so long.
void keep_queues(UniqueFd listener, UniqueFd owner, std::chrono::milliseconds patience);

/// What a program does that Keeper has started, with its two sockets at the places that it knows.
void run_keeper();

}  // namespace vipgate
