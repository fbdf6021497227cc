#pragma once

#include <cstdint>

#include "vipgate/engine.h"

namespace vipgate {

/// What a worker has done, beside its engine's counters.
struct WorkerCounters {
  Counters engine;
  std::uint64_t packets_read = 0;
  std::uint64_t bytes_read = 0;
  std::uint64_t packets_written = 0;
  std::uint64_t bytes_written = 0;
  std::uint64_t super_packets_read = 0;  ///< of them, those of more than one segment
  std::uint64_t packets_coalesced = 0;   ///< of those written, how many went as a part of another one
  std::uint64_t write_failures = 0;      ///< packets that the TUN refused
  std::uint64_t hand_off_full = 0;       ///< packets lost between workers
  std::uint64_t flows = 0;

  void add(const WorkerCounters& other);
};

/// How a worker is.
struct WorkerReport {
  WorkerCounters counters;  ///< of its last answer
  bool stuck = false;
};

}  // namespace vipgate
