#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vipgate/steering.h"

struct bpf_object;

namespace vipgate {

/// The program in the kernel (steering.bpf.c) that tells a TUN which queue a packet goes to, and what it knows of
/// addresses. For one thread.
class Steering {
 public:
  /// PermissionDenied, with the remedy, or what else keeps the kernel from taking it.
  static absl::StatusOr<Steering> load();

  /// Makes the program go by `table`. Packets that come meanwhile may go to any queue.
  absl::Status follow(const SteeringTable& table);

  /// A descriptor, for TunDevice::steer(). It is this object's.
  int program() const { return program_; }

 private:
  struct Close {
    void operator()(bpf_object* object) const;
  };

  Steering() = default;

  std::unique_ptr<bpf_object, Close> object_;
  int program_ = -1;
  int keys_ = -1;
  int roles_ = -1;
  std::vector<SteeredAddress> present_;  ///< in `roles_`, sorted
};

}  // namespace vipgate
