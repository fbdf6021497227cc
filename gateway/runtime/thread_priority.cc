#include "runtime/thread_priority.h"

#include <sched.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace vipgate {
namespace {

/// 0 or errno.
int schedule(bool realtime) {
  // Programs that the thread might start are ordinary.
  const int policy = (realtime ? SCHED_FIFO : SCHED_OTHER) | SCHED_RESET_ON_FORK;
  const sched_param parameters{.sched_priority = realtime ? ::sched_get_priority_min(SCHED_FIFO) : 0};
  return ::sched_setscheduler(0, policy, &parameters) == 0 ? 0 : errno;
}

}  // namespace

absl::Status ThreadPriority::check_realtime() {
  const int error = schedule(true);
  if (error == 0) {
    schedule(false);
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(absl::StrCat(
      "no right to real-time scheduling (", std::string(absl::ErrnoToStatus(error, "").message()),
      "). Remedy: CAP_SYS_NICE, or RLIMIT_RTPRIO of 1 or more (systemd: LimitRTPRIO=1, docker: --cap-add SYS_NICE)"));
}

void ThreadPriority::raise() {
  if (realtime_ && !raised_) raised_ = schedule(true) == 0;
}

void ThreadPriority::lower() {
  if (raised_) raised_ = schedule(false) != 0;
}

}  // namespace vipgate
