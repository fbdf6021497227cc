#pragma once

#include <atomic>
#include <cstdint>

namespace vipgate {

/// Whether workers had better be woken ahead of all ordinary threads, judged by what they find when they are woken.
///
/// Whoever sends a super-packet waits for it, so being early pays. Small packets gather while the worker waits for its
/// turn, and to find several at once is cheaper for all. So are super-packets of several streams, but a worker that is
/// woken for each of them finds them one by one whether they would gather or not: so from time to time all workers
/// together look, as ordinary threads. On two processors, one stream shows 1.2 super-packets a turn then and is the
/// same or half as fast again for workers that are ahead; four streams show 2.5 to 4 and lose up to half.
///
/// A turn is what a worker does from a wake-up until nothing is left.

/// What the workers of a process judge together. From any thread.
class WakeTrials {
 public:
  static constexpr std::uint32_t kTrial = 512;                ///< turns as ordinary threads
  static constexpr std::uint32_t kTrust = 16384;              ///< turns until the next, where they do not gather
  static constexpr std::uint32_t kGathered = kTrial * 3 / 2;  ///< super-packets in a trial from which on they gather

  /// After a turn with so many super-packets: whether being ahead pays.
  bool end_turn(std::uint32_t super_packets);

 private:
  std::atomic<bool> ahead_ = false;
  std::atomic<std::uint32_t> turns_ = 0;  ///< since `ahead_` was last judged
  std::atomic<std::uint32_t> super_packets_ = 0;
};

/// One worker's part.
class WakePolicy {
 public:
  static constexpr std::uint32_t kSmallTurns = 64;  ///< without a super-packet: then traffic is one of small packets

  explicit WakePolicy(WakeTrials& trials) : trials_(trials) {}

  /// The worker has read a super-packet.
  void note_super_packet() { ++found_; }

  /// The worker has nothing left to read. Whether its next wake-up shall be ahead of ordinary threads.
  bool end_turn();

 private:
  WakeTrials& trials_;
  std::uint32_t found_ = 0;  ///< super-packets in this turn
  std::uint32_t turns_without_ = kSmallTurns;
};

}  // namespace vipgate
