#include "device/tun.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "device/lock.h"
#include "device/netlink.h"

namespace vipgate {
namespace {

// Linux 6.2; older headers lack them.
constexpr unsigned kTunUso4 = 0x20;
constexpr unsigned kTunUso6 = 0x40;
constexpr unsigned kOffloadAll = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | kTunUso4 | kTunUso6;
constexpr unsigned kOffloadOld = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;

constexpr short kFlags = static_cast<short>(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE);
constexpr auto kExclusive = static_cast<unsigned short>(IFF_TUN_EXCL);

/// Packets that a queue holds while nobody reads it, as during a take-over: half a second at 20,000 a second. Set while
/// the device is down: on one that is up, a change deactivates its queues and loses what comes meanwhile
/// (dev_qdisc_change_tx_queue_len() of net/sched/sch_generic.c).
constexpr int kQueueLength = 10000;

constexpr int kMaxInterrupts = 8;
constexpr std::chrono::milliseconds kPause{20};

void set_name(ifreq& request, std::string_view name) {
  std::memcpy(request.ifr_name, name.data(), std::min(name.size(), sizeof(request.ifr_name) - 1));
}

template <typename Command>
bool ethtool(const std::string& name, Command& command) {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  set_name(request, name);
  request.ifr_data = reinterpret_cast<char*>(&command);
  return socket && ::ioctl(socket.get(), SIOCETHTOOL, &request) == 0;
}

/// A TUN has carrier as long as some process has a queue of it, up or not. (Ethtool and interface flags know it only
/// while it is up.)
bool has_carrier(const std::string& name) {
  const absl::StatusOr<std::unique_ptr<NetlinkKernel>> kernel = NetlinkKernel::open();
  if (!kernel.ok()) return false;
  const absl::StatusOr<std::vector<Link>> links = (*kernel)->links();
  return links.ok() &&
         std::any_of(links->begin(), links->end(), [&](const Link& link) { return link.name == name && link.carrier; });
}

/// Ok for a TUN, whether multi-queue or not.
absl::Status check_kind(const std::string& name) {
  ethtool_drvinfo info{};
  info.cmd = ETHTOOL_GDRVINFO;
  const bool known = ethtool(name, info);
  if (known && std::string_view(info.driver) == "tun" && std::string_view(info.bus_info) == "tun") {
    return absl::OkStatus();
  }
  const std::string kind = known ? absl::StrCat(" (", info.driver, ")") : std::string();
  return absl::FailedPreconditionError(
      absl::StrCat(name, " is a device of another kind", kind, ", not a TUN. Choose another tun.name"));
}

absl::StatusOr<UniqueFd> open_clone_device() {
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (fd) return fd;
  const int error = errno;
  switch (error) {
    case ENOENT:
      return absl::NotFoundError(
          "/dev/net/tun is missing. Remedy: 'modprobe tun', or 'mkdir -p /dev/net && mknod /dev/net/tun c 10 200'; "
          "a container needs '--device /dev/net/tun'");
    case ENODEV:
    case ENXIO:
      return absl::NotFoundError("/dev/net/tun is there, but the kernel has no TUN driver. Remedy: 'modprobe tun'");
    case EPERM:
    case EACCES:
      return absl::PermissionDeniedError(
          "no right to open /dev/net/tun. Remedy: run as root, or give the process the device "
          "(a container needs '--device /dev/net/tun') and CAP_NET_ADMIN");
    default:
      return absl::ErrnoToStatus(error, "cannot open /dev/net/tun");
  }
}

/// 0 or errno.
int attach(int fd, const std::string& name, bool exclusive) {
  ifreq request{};
  set_name(request, name);
  request.ifr_flags = kFlags;
  if (exclusive) request.ifr_flags = static_cast<short>(static_cast<unsigned short>(kFlags) | kExclusive);
  return ::ioctl(fd, TUNSETIFF, &request) == 0 ? 0 : errno;
}

/// Whether it is a queue, as attach() makes them, of the device that has this name now.
bool is_queue_of(const UniqueFd& fd, const std::string& name) {
  ifreq request{};
  return ::ioctl(fd.get(), TUNGETIFF, &request) == 0 && name == request.ifr_name &&
         (request.ifr_flags & kFlags) == kFlags;
}

absl::Status attach_error(int error, const std::string& name, std::size_t queue) {
  switch (error) {
    case EPERM:
      return absl::PermissionDeniedError(
          absl::StrCat("no right to make or attach to ", name, ". Remedy: run as root or with CAP_NET_ADMIN"));
    case EINVAL:
      if (absl::Status kind = check_kind(name); !kind.ok()) return kind;
      return absl::FailedPreconditionError(absl::StrCat(
          name, " is a TUN with a single queue, which cannot become one with several. Remove it ('ip link delete ",
          name, "'; vipgate makes its own) or choose another tun.name"));
    case EBUSY:
      return absl::FailedPreconditionError(
          absl::StrCat(name, " is held by another program. End it or choose another tun.name"));
    case E2BIG:
      return absl::ResourceExhaustedError(absl::StrCat(name, " takes no more than ", queue,
                                                       " queues (another program may hold some). Lower tun.workers"));
    default:
      return absl::ErrnoToStatus(error, absl::StrCat("cannot make or attach to ", name));
  }
}

/// A device without it works, too.
void lengthen_queues(const std::string& name) {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  set_name(request, name);
  request.ifr_qlen = kQueueLength;
  if (socket) (void)::ioctl(socket.get(), SIOCSIFTXQLEN, &request);
}

/// The settings belong to the device: an earlier owner may have left others.
absl::StatusOr<unsigned> configure(int fd, const TunOptions& options) {
  int header_size = sizeof(VirtioHeader);
  if (::ioctl(fd, TUNSETVNETHDRSZ, &header_size) != 0)
    return absl::ErrnoToStatus(errno, "cannot set the virtio header size");
  int native = 0;
  if (::ioctl(fd, TUNSETVNETLE, &native) != 0) return absl::ErrnoToStatus(errno, "cannot set the virtio byte order");
  int none = -1;
  (void)::ioctl(fd, TUNSETFILTEREBPF, &none);  // kernels before 4.16 know no programs

  std::optional<unsigned> accepted;
  for (const unsigned bits : {kOffloadAll, kOffloadOld, 0U}) {
    if (!options.offload && bits != 0) continue;
    if (::ioctl(fd, TUNSETOFFLOAD, static_cast<unsigned long>(bits)) == 0) {
      accepted = bits;
      break;
    }
  }
  if (!accepted) return absl::ErrnoToStatus(errno, absl::StrCat("cannot set the offloads of ", options.name));
  return *accepted;
}

using Deadline = std::chrono::steady_clock::time_point;

absl::StatusOr<UniqueFd> take_lock(const std::string& name, std::chrono::milliseconds patience) {
  absl::StatusOr<UniqueFd> lock = take_namespace_lock(absl::StrCat("tun/", name), patience);
  if (!absl::IsAlreadyExists(lock.status())) return lock;
  return absl::AlreadyExistsError(absl::StrCat("a gateway runs on ", name, " already (", lock.status().message(),
                                               "). End it or choose another tun.name"));
}

bool wait_until_free(const std::string& name, Deadline deadline) {
  while (has_carrier(name)) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

/// Whether the options can be met at all.
absl::Status check_options(const TunOptions& options) {
  if (options.name.empty() || options.name.size() >= IFNAMSIZ ||
      options.name.find_first_of("%/: \t\n") != std::string::npos || options.name == "." || options.name == "..") {
    return absl::InvalidArgumentError(absl::StrCat("'", options.name, "' is no name for a device: 1 to ", IFNAMSIZ - 1,
                                                   " characters without blanks, '/', ':' and '%'"));
  }
  if (options.queues == 0 || options.queues > TunDevice::kMaxQueues) {
    return absl::InvalidArgumentError(absl::StrCat("a TUN has 1 to ", TunDevice::kMaxQueues, " queues, not ",
                                                   options.queues, ". Change tun.workers"));
  }
  return absl::OkStatus();
}

}  // namespace

bool IoResult::device_gone() const {
  return status == IoStatus::error && (error == EBADFD || error == EBADF || error == ENODEV);
}

ReadResult TunQueue::read(std::span<std::uint8_t> buffer, VirtioHeader& virtio) {
  iovec parts[2] = {{&virtio, sizeof(virtio)}, {buffer.data(), buffer.size()}};
  for (int i = 0; i < kMaxInterrupts; ++i) {
    const ssize_t read = ::readv(fd_.get(), parts, 2);
    if (read >= static_cast<ssize_t>(sizeof(virtio))) {
      return {IoStatus::ok, static_cast<std::size_t>(read) - sizeof(virtio), 0};
    }
    if (read >= 0) return {IoStatus::error, 0, EPROTO};
    if (errno == EAGAIN) break;
    if (errno != EINTR) return {IoStatus::error, 0, errno};
  }
  return {IoStatus::again, 0, 0};
}

WriteResult TunQueue::write(const Packet& packet) {
  VirtioHeader virtio = packet.virtio;
  const iovec parts[2] = {{&virtio, sizeof(virtio)}, {packet.bytes.data(), packet.bytes.size()}};
  return write(parts);
}

WriteResult TunQueue::write(std::span<const iovec> parts) {
  std::size_t bytes = 0;
  for (const iovec& part : parts) bytes += part.iov_len;
  for (int i = 0; i < kMaxInterrupts; ++i) {
    const ssize_t written = ::writev(fd_.get(), parts.data(), static_cast<int>(parts.size()));
    if (written >= 0 || errno != EINTR) return result_of(written >= 0 ? written : -errno, bytes);
  }
  return {IoStatus::again, 0, 0};
}

WriteResult TunQueue::result_of(ssize_t written, std::size_t bytes) {
  if (written == static_cast<ssize_t>(bytes)) return {IoStatus::ok, bytes - sizeof(VirtioHeader), 0};
  if (written >= 0) return {IoStatus::error, 0, EMSGSIZE};
  if (written == -EAGAIN) return {IoStatus::again, 0, 0};
  return {IoStatus::error, 0, static_cast<int>(-written)};
}

absl::StatusOr<TunDevice> TunDevice::open(const TunOptions& options) {
  if (absl::Status status = check_options(options); !status.ok()) return status;
  TunDevice device(options);
  const Deadline deadline = std::chrono::steady_clock::now() + options.patience;
  absl::StatusOr<UniqueFd> lock = take_lock(options.name, options.patience);
  if (!lock.ok()) return lock.status();
  device.lock_ = *std::move(lock);

  // What was kept of a device that is gone, or is more than is wanted, is closed here.
  std::vector<UniqueFd> kept = options.kept();
  for (UniqueFd& fd : kept) {
    if (device.queues_.size() < options.queues && is_queue_of(fd, options.name))
      device.queues_.emplace_back(std::move(fd));
  }
  device.kept_ = device.queues_.size();
  kept.clear();
  if (absl::Status status = device.attach_queues(deadline); !status.ok()) return status;
  return device;
}

absl::StatusOr<TunDevice> TunDevice::adopt(const TunOptions& options, UniqueFd lock, std::vector<UniqueFd> queues) {
  if (absl::Status status = check_options(options); !status.ok()) return status;
  TunDevice device(options);
  device.lock_ = std::move(lock);
  for (UniqueFd& fd : queues) {
    if (!is_queue_of(fd, options.name)) {
      return absl::FailedPreconditionError(absl::StrCat("what was handed over is no queue of ", options.name));
    }
    device.queues_.emplace_back(std::move(fd));
  }
  if (device.queues_.empty() || !device.lock_) return absl::FailedPreconditionError("no queues were handed over");
  device.kept_ = device.queues_.size();
  // Who connects to the lock to see who holds it shall see this process (unix_listen() of net/unix/af_unix.c).
  (void)::listen(device.lock_.get(), SOMAXCONN);
  if (absl::Status status = device.configure_again(); !status.ok()) return status;
  return device;
}

Coalescing TunDevice::coalescing() const {
  if (offload_ == 0) return Coalescing::none;
  return (offload_ & kTunUso4) != 0 ? Coalescing::tcp_and_udp : Coalescing::tcp;
}

absl::Status TunDevice::make_anew() {
  queues_.clear();
  created_ = false;
  kept_ = 0;
  return attach_queues(std::chrono::steady_clock::now());
}

absl::Status TunDevice::configure_again() {
  const absl::StatusOr<unsigned> offload = configure(queues_.front().fd(), options_);
  if (offload.ok()) offload_ = *offload;
  return offload.status();
}

absl::Status TunDevice::widen(std::size_t queues) {
  while (queues_.size() < queues) {
    absl::StatusOr<UniqueFd> fd = open_clone_device();
    if (!fd.ok()) return fd.status();
    if (const int error = attach(fd->get(), name_, false); error != 0)
      return attach_error(error, name_, queues_.size());
    queues_.emplace_back(*std::move(fd));
  }
  return absl::OkStatus();
}

absl::Status TunDevice::steer(int program) {
  if (::ioctl(queues_.front().fd(), TUNSETSTEERINGEBPF, &program) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot steer the packets of ", name_));
}

/// Up to as many as are wanted; the first one makes the device where it is not there.
absl::Status TunDevice::attach_queues(Deadline deadline) {
  if (queues_.empty()) {
    absl::StatusOr<UniqueFd> fd = open_clone_device();
    if (!fd.ok()) return fd.status();
    int error = attach(fd->get(), name_, /*exclusive=*/true);
    created_ = error == 0;
    if (error == EBUSY) {  // the name is taken, perhaps by a device that a killed predecessor left
      if (absl::Status kind = check_kind(name_); !kind.ok()) return kind;
      error = wait_until_free(name_, deadline) ? attach(fd->get(), name_, false) : EBUSY;
    }
    if (error != 0) return attach_error(error, name_, 0);
    queues_.emplace_back(*std::move(fd));
    if (created_) lengthen_queues(name_);
  }
  if (absl::Status status = widen(options_.queues); !status.ok()) return status;
  if (absl::Status status = configure_again(); !status.ok()) return status;
  // Last, so that a device whose making failed half-way goes away by itself.
  if (::ioctl(queues_.front().fd(), TUNSETPERSIST, 1UL) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make ", name_, " persistent"));
  }
  return absl::OkStatus();
}

}  // namespace vipgate
