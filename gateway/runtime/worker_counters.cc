#include "runtime/worker_counters.h"

namespace vipgate {

void WorkerCounters::add(const WorkerCounters& other) {
  engine.add(other.engine);
  packets_read += other.packets_read;
  bytes_read += other.bytes_read;
  packets_written += other.packets_written;
  bytes_written += other.bytes_written;
  super_packets_read += other.super_packets_read;
  packets_coalesced += other.packets_coalesced;
  write_failures += other.write_failures;
  hand_off_full += other.hand_off_full;
  flows += other.flows;
}

}  // namespace vipgate
