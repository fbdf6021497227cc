#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "device/tun.h"
#include "runtime/hand_off.h"
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
  std::uint64_t write_failures = 0;      ///< packets that the TUN refused
  std::uint64_t hand_off_full = 0;       ///< packets lost between workers
  std::uint64_t flows = 0;

  void add(const WorkerCounters& other);
};

/// One thread with one TUN queue and the engine of its shards. It waits when there is nothing to read, and reads until
/// there is nothing left when there is. Other threads reach it through its mailbox only.
class Worker final : private PacketSink {
 public:
  /// `peers` are all workers, this one among them, by index; complete before start(). `on_failure` is called once, from
  /// the worker's thread, when the queue can no longer be used.
  Worker(TunQueue& queue, const EngineOptions& options, std::shared_ptr<const Ruleset> ruleset, HandOff& hand_off,
         const std::vector<std::unique_ptr<Worker>>& peers, std::function<void(std::string)> on_failure);
  ~Worker() override;

  /// Before start(), from any thread.
  Adoption adopt(Time now) { return engine_.adopt(now); }
  void start();
  void stop();

  // The mailbox, from any thread.
  void set_ruleset(std::shared_ptr<const Ruleset> ruleset);
  void wake_for_hand_off();
  /// Calls `answer` from the worker's thread.
  void ask(std::function<void(const WorkerCounters&)> answer);

  /// To be called after stop(), or from the worker's thread.
  WorkerCounters counters() const;

 private:
  struct Batch;

  void send(const Packet& packet) override;
  void wait_for_packets();
  void drain();
  bool fill(Batch& batch);
  void process(Batch& batch, bool handed_over);
  void take_handed_off();
  void arm_timer(Time next);
  void write(const Packet& packet);
  void fail(int error);

  TunQueue& queue_;
  std::size_t index_;
  Engine engine_;
  HandOff& hand_off_;
  const std::vector<std::unique_ptr<Worker>>& peers_;
  std::function<void(std::string)> on_failure_;
  std::unique_ptr<Batch> batch_;
  WorkerCounters counters_;
  std::atomic<bool> hand_off_announced_ = false;

  boost::asio::io_context context_{1};
  boost::asio::posix::stream_descriptor readable_{context_};
  boost::asio::steady_timer timer_{context_};
  std::thread thread_;
};

}  // namespace vipgate
