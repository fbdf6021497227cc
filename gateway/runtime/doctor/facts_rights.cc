#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "device/steering.h"
#include "device/tun_writer.h"
#include "device/unique_fd.h"
#include "runtime/doctor/facts.h"
#include "runtime/thread_priority.h"

namespace vipgate::doctor {
namespace {

bool has_capability(unsigned capability) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return false;
  return (sets[capability / 32].effective >> capability % 32 & 1U) != 0;
}

/// Opened and closed again: without a name it is no device yet.
std::string reason_against_tun() {
  const UniqueFd device(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  if (!device) return std::strerror(errno);
  unsigned features = 0;
  if (::ioctl(device.get(), TUNGETFEATURES, &features) != 0) return "it is a device of another kind";
  return (features & IFF_MULTI_QUEUE) == 0 ? "this kernel's TUN has no queues" : "";
}

}  // namespace

Rights find_rights() {
  Rights rights;
  rights.net_admin = has_capability(CAP_NET_ADMIN);
  rights.net_raw = has_capability(CAP_NET_RAW);
  rights.tun = reason_against_tun();
  if (const absl::Status status = ThreadPriority::check_realtime(); !status.ok()) {
    rights.realtime = std::string(status.message());
  }
  // Loaded, and gone again with the object.
  if (const auto steering = Steering::load(); !steering.ok())
    rights.steering = std::string(steering.status().message());
  if (const absl::Status status = TunWriter::check(); !status.ok()) rights.at_once = std::string(status.message());
  rights.read_only = ::access("/proc/sys/net/ipv4/ip_forward", W_OK) != 0 && errno == EROFS;
  return rights;
}

}  // namespace vipgate::doctor
