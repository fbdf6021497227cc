#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/status.h"
#include "device/tun.h"
#include "vipgate/coalesce.h"

namespace vipgate {

/// Writes packets to TUN queues, for one thread: several with one system call (io_uring), so that those whom the first
/// one wakes do not take the processor before the last one is written. Where the kernel has no io_uring, or does not
/// permit it, each is a call.
class TunWriter {
 public:
  static constexpr std::size_t kMaxPackets = Coalescer::kMaxPackets;

  /// What became of a packet, or of a super-packet of several.
  struct Written {
    std::size_t packets = 0;
    WriteResult result;
  };

  /// Whether there is io_uring, or why not and the remedy.
  static absl::Status check();

  /// `at_once`: with io_uring, if there is.
  explicit TunWriter(bool at_once = true);
  ~TunWriter();

  /// Takes a packet whose bytes are those of `head` and, behind them, those of all of `rest`. They stay where they are
  /// until the next write(). At most kMaxPackets until then, parts included.
  void add(const Packet& head, std::span<const std::span<const std::uint8_t>> rest);
  /// Writes what was added, in that order. Says what became of each, until the next add().
  std::span<const Written> write(TunQueue& queue);

 private:
  struct Ring;
  struct Batch;

  std::size_t write_at_once(TunQueue& queue);

  std::unique_ptr<Ring> ring_;  ///< none: not available
  std::unique_ptr<Batch> batch_;
};

}  // namespace vipgate
