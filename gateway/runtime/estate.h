#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "device/unique_fd.h"
#include "runtime/worker.h"
#include "vipgate/backend_signs.h"
#include "vipgate/rules.h"
#include "vipgate/time.h"

namespace vipgate {

/// What a running gateway hands to the one that takes its place: what it has open, and what it alone knows. Open locks
/// are held by both processes, so that at no moment a third one can get them, and whoever dies leaves them to the
/// other.
struct Estate {
  /// What was seen of one backend.
  struct Signs {
    std::string vip{};
    std::string service{};
    std::string backend{};
    BackendSigns signs{};

    bool operator==(const Signs&) const = default;
  };

  Time started{};  ///< of the first gateway in the row
  std::uint32_t generation = 0;
  bool standby = false;
  std::uint8_t kernel_protocol = 0;  ///< of protocol_lock
  std::vector<WorkerCounters> workers{};
  std::vector<Signs> signs{};

  UniqueFd device_lock{};
  UniqueFd protocol_lock{};
  UniqueFd folder_lock{};
  UniqueFd flows{};     ///< with its lock
  UniqueFd listener{};  ///< of take-overs
  UniqueFd keeper{};    ///< the connection to it; none: there is no keeper
  std::vector<UniqueFd> queues{};
};

/// Another descriptor of the same open file.
UniqueFd duplicate(const UniqueFd& descriptor);

/// All of it in one message, which begins with `text`; numbers by name, in a file in memory.
absl::Status send_estate(const UniqueFd& socket, const std::string& text, const Estate& estate);
/// From a message that has been received. InvalidArgument for what is no estate. A counter that this version does not
/// know is left out.
absl::StatusOr<Estate> read_estate(std::vector<UniqueFd> descriptors);

/// What is to go on of the backends of `ruleset`, and how it does in another ruleset, by names.
std::vector<Estate::Signs> signs_of(const Ruleset& ruleset);
void continue_signs(const Ruleset& ruleset, const std::vector<Estate::Signs>& earlier);

}  // namespace vipgate
