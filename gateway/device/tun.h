#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "device/unique_fd.h"
#include "vipgate/coalesce.h"
#include "vipgate/packet.h"

namespace vipgate {

enum class IoStatus : std::uint8_t {
  ok,
  again,  ///< nothing to read, or no room to write: wait for the descriptor
  error,
};

struct IoResult {
  IoStatus status = IoStatus::ok;
  std::size_t size = 0;  ///< bytes of the packet, without the virtio header; with `ok` only
  int error = 0;         ///< errno; with `error` only

  /// The device was deleted: no later call can succeed. Other errors concern this one packet.
  bool device_gone() const;
};
using ReadResult = IoResult;
using WriteResult = IoResult;

/// One queue of a TUN: system calls and nothing else. A queue is used by one thread; several queues are independent.
class TunQueue {
 public:
  explicit TunQueue(UniqueFd fd) : fd_(std::move(fd)) {}

  /// Reads one packet. `buffer` has room for kMaxPacketSize bytes: the kernel cuts off what does not fit and does not
  /// say so.
  ReadResult read(std::span<std::uint8_t> buffer, VirtioHeader& virtio);
  WriteResult write(const Packet& packet);
  /// The packet whose virtio header is the first of these, and whose bytes are the others.
  WriteResult write(std::span<const iovec> parts);
  /// What a write of so many bytes, virtio header included, has come to: `written` of them, or, below 0, an errno.
  static WriteResult result_of(ssize_t written, std::size_t bytes);

  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
};

struct TunOptions {
  std::string name = "tun0";
  std::size_t queues = 1;
  bool offload = true;
  /// How long to wait for a predecessor that is just being killed to let go of the device.
  std::chrono::milliseconds patience{1000};
  /// Gives queues that somebody kept open after a predecessor was killed; asked when no other gateway can be on the
  /// device.
  std::function<std::vector<UniqueFd>()> kept = [] { return std::vector<UniqueFd>(); };
};

/// A persistent multi-queue TUN and the lock that keeps a second gateway off it: a second process could attach more
/// queues to the device and would silently get a part of the packets.
class TunDevice {
 public:
  static constexpr std::size_t kMaxQueues = 256;  ///< MAX_TAP_QUEUES of drivers/net/tun.c

  /// Creates the device, or attaches to one that is there. It is not up yet.
  static absl::StatusOr<TunDevice> open(const TunOptions& options);
  /// Goes on with the lock and all queues of a gateway that hands them over, however many `options` want: packets wait
  /// in each of them.
  static absl::StatusOr<TunDevice> adopt(const TunOptions& options, UniqueFd lock, std::vector<UniqueFd> queues);

  /// Makes the device again when it was deleted; queues of before are closed. The lock is held throughout.
  absl::Status make_anew();
  /// Sets again what belongs to the device, when another process may have set it otherwise.
  absl::Status configure_again();
  /// Attaches more queues, up to so many in all. From then on the kernel spreads flows over all of them.
  absl::Status widen(std::size_t queues);
  /// From now on a program chooses the queue of each packet (Steering); -1 for none: the kernel does, by the packets
  /// that it has seen. Programs outlive the process that loaded them, and its queues.
  absl::Status steer(int program);

  const std::string& name() const { return name_; }
  bool created() const { return created_; }      ///< false: it was there, as after a kill
  std::size_t kept() const { return kept_; }     ///< queues that were kept open meanwhile
  unsigned offload() const { return offload_; }  ///< the TUN_F_ bits that the kernel accepted
  Coalescing coalescing() const;                 ///< what it segments, if that is wanted
  const UniqueFd& lock() const { return lock_; }
  std::deque<TunQueue>& queues() { return queues_; }  ///< each stays in its place as long as it is there

 private:
  explicit TunDevice(TunOptions options) : options_(std::move(options)), name_(options_.name) {}

  absl::Status attach_queues(std::chrono::steady_clock::time_point deadline);

  TunOptions options_;
  std::string name_;
  bool created_ = false;
  std::size_t kept_ = 0;
  unsigned offload_ = 0;
  UniqueFd lock_;
  std::deque<TunQueue> queues_;
};

}  // namespace vipgate
