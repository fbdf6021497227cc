#pragma once

#include "absl/status/status.h"

namespace vipgate {

/// How the calling thread is scheduled: ahead of all ordinary threads of the machine, or as one of them.
class ThreadPriority {
 public:
  /// Whether this process may have real-time threads: PermissionDenied, with the remedy, where not.
  static absl::Status check_realtime();

  /// Ordinary at first, and for ever unless `realtime`. The calls that follow concern the thread that makes them.
  explicit ThreadPriority(bool realtime) : realtime_(realtime) {}

  /// Real-time (SCHED_FIFO of sched(7), the lowest priority there).
  void raise();
  void lower();

 private:
  bool realtime_;
  bool raised_ = false;
};

}  // namespace vipgate
