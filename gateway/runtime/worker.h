#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "device/tun.h"
#include "device/tun_writer.h"
#include "runtime/capture/capture_tap.h"
#include "runtime/hand_off.h"
#include "runtime/thread_priority.h"
#include "runtime/wake_policy.h"
#include "runtime/worker_counters.h"
#include "vipgate/coalesce.h"
#include "vipgate/engine.h"

namespace vipgate {

/// One thread with the engine of its shards and a TUN queue, or more of them where a gateway with more workers has
/// handed its queues over. It waits when there is nothing to read, and reads until there is nothing left when there is.
/// Other threads reach it through its mailbox only.
class Worker final : private PacketSink {
 public:
  using Clock = std::chrono::steady_clock;

  /// Reads from `inputs`, of which there may be none, and writes to `output`. `peers` are all workers, this one among
  /// them, by index; complete before start(). They share `hand_off` and `wake_trials`. `on_failure` is called once,
  /// from the worker's thread, when the queue can no longer be used.
  Worker(std::span<TunQueue* const> inputs, TunQueue& output, const EngineOptions& options,
         std::shared_ptr<const Ruleset> ruleset, Coalescing coalescing, HandOff& hand_off, WakeTrials& wake_trials,
         const std::vector<std::unique_ptr<Worker>>& peers, std::function<void(std::string)> on_failure);
  /// Waits for the thread to end, however long that takes.
  ~Worker() override;

  /// Before start(), from any thread.
  Adoption adopt(Time now) { return engine_.adopt(now); }
  /// `realtime`: may have a real-time thread, which it has when WakePolicy says so and less comes than it can do.
  void start(bool realtime);

  /// Has it stop between two batches of packets: what it has read is written, or on its way to another worker.
  void ask_to_stop();
  /// False: it is stuck, and has not stopped until then.
  bool wait_until_stopped(Clock::time_point deadline);
  /// After ask_to_stop(), whether it has stopped or not: it works on.
  void go_on();
  /// Processes what other workers have handed to it. From its thread, or when all workers have stopped. How many.
  std::size_t take_handed_off();

  // The mailbox, from any thread.
  void set_ruleset(std::shared_ptr<const Ruleset> ruleset);
  void wake_for_hand_off();
  /// From now on it reads this queue, too, and writes to it.
  void add_queue(TunQueue& queue);
  /// Calls `answer` from the worker's thread.
  void ask(std::function<void(const WorkerCounters&)> answer);
  /// Shows the engine, from the worker's thread: packets wait meanwhile. However many ask, after each packets have
  /// their turn.
  void show_engine(std::function<void(const Engine&)> look);
  /// The same, to change what it has; what it sends goes to the sink.
  void use_engine(std::function<void(Engine&, PacketSink&)> use);
  /// From now on it shows its packets to a capture, or does not any more.
  void tap(std::shared_ptr<CaptureTap> tap);
  void untap(std::shared_ptr<CaptureTap> tap);

  /// To be called when it has stopped, or from the worker's thread.
  WorkerCounters counters() const;

 private:
  struct Batch;
  /// A queue, and the wait for its packets.
  struct Input {
    TunQueue* queue;
    boost::asio::posix::stream_descriptor readable;
  };

  void send(const Packet& packet) override;
  void start_thread();
  void use_next();
  void work();
  void add_input(TunQueue& queue);
  void wait_for_packets(std::size_t input);
  void drain(std::size_t input);
  bool fill(Batch& batch, std::size_t input);
  bool waits_for_peers();
  void process(Batch& batch, bool handed_over);
  void run_engine();
  void arm_timer(Time next);
  void send_on(Batch& batch);
  void write_added();
  void count(std::size_t packets, const WriteResult& result);
  void fail(int error);

  boost::asio::io_context context_{1};
  std::vector<Input> inputs_;
  TunQueue* output_;
  std::size_t index_;
  Engine engine_;
  Coalescer coalescer_;
  TunWriter writer_;
  HandOff& hand_off_;
  const std::vector<std::unique_ptr<Worker>>& peers_;
  std::function<void(std::string)> on_failure_;
  std::unique_ptr<Batch> batch_;
  std::deque<std::function<void(Engine&, PacketSink&)>> uses_;  ///< that wait for their turn
  CaptureTaps taps_;
  ThreadPriority priority_{false};
  WakePolicy wake_policy_;
  WorkerCounters counters_;
  std::atomic<bool> hand_off_announced_ = false;
  bool has_handed_off_ = false;                      ///< since it last looked whether there is room for more
  std::optional<Clock::time_point> peers_are_late_;  ///< since when
  boost::asio::steady_timer timer_{context_};

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;     ///< it is asked to
  bool stopped_ = false;  ///< the thread is about to end, or has ended
  std::thread thread_;
};

}  // namespace vipgate
