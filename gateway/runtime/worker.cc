#include "runtime/worker.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <boost/asio/post.hpp>

#include "absl/strings/str_cat.h"
#include "runtime/clock.h"

namespace vipgate {
namespace {

/// Rounds of reading before mailbox and timers get their turn, however many packets wait.
constexpr int kMaxRounds = 64;

/// How long a worker reads nothing because another one takes nothing: longer than a busy machine keeps a thread from
/// running, and far less than anybody would call the other one stuck.
constexpr auto kPatienceWithPeers = std::chrono::milliseconds(50);

/// Packets that the engine is given at once lie one behind the other in one piece of memory, which stays in the cache:
/// many small ones, or a few super-packets.
constexpr std::size_t kArenaSize = std::size_t{256} * 1024;
constexpr std::size_t kRoomForOne = kMaxPacketSize + kSpareRoom;
constexpr std::size_t kAlignment = 64;

}  // namespace

struct Worker::Batch {
  std::array<Packet, Engine::kMaxBatch> packets;
  std::array<Verdict, Engine::kMaxBatch> verdicts;
  std::size_t size = 0;
  std::size_t used = 0;  ///< bytes of the arena
  std::array<std::uint8_t, kArenaSize> arena;

  bool has_room() const { return size < packets.size() && arena.size() - used >= kRoomForOne; }
  std::span<std::uint8_t> room() { return std::span(arena).subspan(used, kMaxPacketSize); }
  void add(std::size_t bytes, const VirtioHeader& virtio) {
    packets[size++] = {.bytes = room().first(bytes), .virtio = virtio};
    used += (bytes + kSpareRoom + kAlignment - 1) / kAlignment * kAlignment;
  }
  void clear() { size = used = 0; }
};

Worker::Worker(std::span<TunQueue* const> inputs, TunQueue& output, const EngineOptions& options,
               std::shared_ptr<const Ruleset> ruleset, Coalescing coalescing, HandOff& hand_off,
               WakeTrials& wake_trials, const std::vector<std::unique_ptr<Worker>>& peers,
               std::function<void(std::string)> on_failure)
    : output_(&output),
      index_(options.worker),
      engine_(options, std::move(ruleset)),
      coalescer_(coalescing),
      hand_off_(hand_off),
      peers_(peers),
      on_failure_(std::move(on_failure)),
      batch_(std::make_unique<Batch>()),
      wake_policy_(wake_trials) {
  for (TunQueue* queue : inputs) add_input(*queue);
}

Worker::~Worker() {
  ask_to_stop();
  if (thread_.joinable()) thread_.join();
  for (Input& input : inputs_) input.readable.release();  // the queue owns the descriptor
}

void Worker::add_input(TunQueue& queue) {
  inputs_.push_back({&queue, boost::asio::posix::stream_descriptor(context_, queue.fd())});
}

void Worker::start(bool realtime) {
  priority_ = ThreadPriority(realtime);
  for (std::size_t input = 0; input < inputs_.size(); ++input) wait_for_packets(input);
  run_engine();
  start_thread();
}

void Worker::start_thread() {
  thread_ = std::thread([this] {
    ::pthread_setname_np(::pthread_self(), absl::StrCat("vipgate-w", index_).c_str());
    work();
    priority_.lower();
  });
}

void Worker::work() {
  const auto forever = boost::asio::make_work_guard(context_);
  std::unique_lock lock(mutex_);
  while (!stop_) {
    lock.unlock();
    context_.run();
    lock.lock();
    if (!stop_) context_.restart();  // it was told to go on before it had stopped
  }
  stopped_ = true;
  changed_.notify_all();
}

void Worker::ask_to_stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  context_.stop();
}

bool Worker::wait_until_stopped(Clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return !thread_.joinable() || changed_.wait_until(lock, deadline, [this] { return stopped_; });
}

void Worker::go_on() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = false;
    if (!stopped_) return;
    stopped_ = false;
  }
  thread_.join();
  context_.restart();
  start_thread();
}

void Worker::set_ruleset(std::shared_ptr<const Ruleset> ruleset) {
  boost::asio::post(context_, [this, ruleset = std::move(ruleset)] {
    engine_.set_ruleset(ruleset);
    run_engine();
  });
}

void Worker::ask(std::function<void(const WorkerCounters&)> answer) {
  boost::asio::post(context_, [this, answer = std::move(answer)] { answer(counters()); });
}

void Worker::show_engine(std::function<void(const Engine&)> look) {
  use_engine([look = std::move(look)](const Engine& engine, PacketSink& /*sink*/) { look(engine); });
}

void Worker::use_engine(std::function<void(Engine&, PacketSink&)> use) {
  boost::asio::post(context_, [this, use = std::move(use)]() mutable {
    uses_.push_back(std::move(use));
    if (uses_.size() == 1) boost::asio::post(context_, [this] { use_next(); });
  });
}

/// One at a time: the next is posted behind what has come meanwhile.
void Worker::use_next() {
  if (taps_.any()) taps_.before_run(boot_time_now());
  uses_.front()(engine_, taps_.over(*this));
  uses_.pop_front();
  if (!uses_.empty()) boost::asio::post(context_, [this] { use_next(); });
}

void Worker::tap(std::shared_ptr<CaptureTap> tap) {
  boost::asio::post(context_, [this, tap = std::move(tap)]() mutable { taps_.add(std::move(tap)); });
}

void Worker::untap(std::shared_ptr<CaptureTap> tap) {
  boost::asio::post(context_, [this, tap = std::move(tap)] { taps_.remove(tap.get()); });
}

WorkerCounters Worker::counters() const {
  WorkerCounters counters = counters_;
  counters.engine = engine_.counters();
  counters.flows = engine_.flow_count();
  return counters;
}

void Worker::wake_for_hand_off() {
  if (hand_off_announced_.exchange(true)) return;  // one wake-up serves all packets that come before it
  boost::asio::post(context_, [this] { take_handed_off(); });
}

void Worker::add_queue(TunQueue& queue) {
  boost::asio::post(context_, [this, &queue] {
    add_input(queue);
    output_ = &queue;
    wait_for_packets(inputs_.size() - 1);
  });
}

void Worker::wait_for_packets(std::size_t input) {
  inputs_[input].readable.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                                     [this, input](const boost::system::error_code& error) {
                                       if (!error) drain(input);
                                     });
}

void Worker::drain(std::size_t input) {
  for (int round = 0; round < kMaxRounds; ++round) {
    if (hand_off_announced_.load()) take_handed_off();  // others wait for it, and so perhaps this one for them
    if (waits_for_peers()) {
      std::this_thread::yield();
      break;
    }
    const bool more = fill(*batch_, input);
    process(*batch_, /*handed_over=*/false);
    if (!more) return;
  }
  priority_.lower();  // more comes than it can do: the rest of the machine shall have its share
  boost::asio::post(context_, [this, input] { drain(input); });
}

/// Whether packets had better wait in the TUN's queue, since another worker is behind with what it was handed. One that
/// stays behind holds up nobody for long.
bool Worker::waits_for_peers() {
  if (!has_handed_off_) return false;
  if (hand_off_.has_room(index_, Engine::kMaxBatch)) {
    has_handed_off_ = false;
    peers_are_late_.reset();
    return false;
  }
  if (!peers_are_late_) peers_are_late_ = Clock::now();
  return Clock::now() - *peers_are_late_ < kPatienceWithPeers;
}

/// Reads until the batch is full (true) or nothing is left; then the worker waits again.
bool Worker::fill(Batch& batch, std::size_t input) {
  batch.clear();
  TunQueue& queue = *inputs_[input].queue;
  while (batch.has_room()) {
    VirtioHeader virtio;
    const ReadResult result = queue.read(batch.room(), virtio);
    if (result.status == IoStatus::ok) {
      ++counters_.packets_read;
      counters_.bytes_read += result.size;
      if (virtio.gso_type != VirtioHeader::kGsoNone) {
        ++counters_.super_packets_read;
        wake_policy_.note_super_packet();
      }
      batch.add(result.size, virtio);
    } else if (result.status == IoStatus::error && result.device_gone()) {
      fail(result.error);
      return false;
    } else {
      if (wake_policy_.end_turn()) {
        priority_.raise();
      } else {
        priority_.lower();
      }
      wait_for_packets(input);
      return false;
    }
  }
  return true;
}

void Worker::process(Batch& batch, bool handed_over) {
  if (batch.size == 0) return;
  const std::span<Packet> packets = std::span(batch.packets).first(batch.size);
  // A fragment is handed to where its datagram gathers, and the datagram once more, to the owner of its flow.
  std::array<bool, Engine::kMaxBatch> was_joined;  // NOLINT: filled here
  for (std::size_t i = 0; i < batch.size; ++i) was_joined[i] = packets[i].fragment_size != 0;
  const std::span<Verdict> verdicts = std::span(batch.verdicts).first(batch.size);
  const Time now = boot_time_now();
  if (taps_.any()) taps_.before(engine_, packets, handed_over, now);
  engine_.process(packets, verdicts, now, taps_.over(*this));
  if (taps_.any()) taps_.after(packets, verdicts, engine_.ruleset());
  send_on(batch);
  for (std::size_t i = 0; i < batch.size; ++i) {
    const Verdict& verdict = batch.verdicts[i];
    const bool joined = packets[i].fragment_size != 0 && !was_joined[i];
    if (verdict.action == Action::hand_off && (!handed_over || joined)) {
      const std::size_t owner = verdict.shard % hand_off_.workers();
      has_handed_off_ = true;
      if (hand_off_.push(index_, owner, packets[i])) {
        peers_[owner]->wake_for_hand_off();
      } else {
        ++counters_.hand_off_full;
      }
    }
    // A packet that is handed over and still not ours met another ruleset there; like any lost packet, it will be sent
    // again.
  }
}

/// Writes what is forwarded or passed.
void Worker::send_on(Batch& batch) {
  coalescer_.clear();
  for (std::size_t i = 0; i < batch.size; ++i) {
    const Action action = batch.verdicts[i].action;
    if (action != Action::forward && action != Action::pass) continue;
    coalescer_.add(batch.packets[i], action == Action::forward && batch.packets[i].fragment_size == 0);
  }
  coalescer_.for_each([this](const Packet& head, std::span<const std::span<const std::uint8_t>> rest) {
    if (head.fragment_size == 0) return writer_.add(head, rest);
    write_added();  // fragments follow what came before them
    send_as_it_came(head, *this);
  });
  write_added();
}

void Worker::write_added() {
  for (const TunWriter::Written& written : writer_.write(*output_)) count(written.packets, written.result);
}

std::size_t Worker::take_handed_off() {
  std::size_t taken = 0;
  hand_off_announced_.exchange(false);  // reads what the announcers wrote, and so sees the packets they pushed before
  for (std::size_t from = 0; from < hand_off_.workers(); ++from) {
    std::array<std::unique_ptr<HandedPacket>, Engine::kMaxBatch> owned;
    for (;;) {
      batch_->clear();
      while (batch_->size < owned.size()) {
        auto packet = hand_off_.pop(from, index_);
        if (packet == nullptr) break;
        batch_->packets[batch_->size] = packet->packet();
        owned[batch_->size++] = std::move(packet);
      }
      if (batch_->size == 0) break;
      taken += batch_->size;
      process(*batch_, /*handed_over=*/true);
    }
  }
  return taken;
}

void Worker::arm_timer(Time next) {
  timer_.expires_after(std::max<Duration>(next - boot_time_now(), std::chrono::milliseconds(10)));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) run_engine();
  });
}

void Worker::run_engine() {
  const Time now = boot_time_now();
  if (taps_.any()) taps_.before_run(now);
  arm_timer(engine_.run(now, taps_.over(*this)));
}

void Worker::send(const Packet& packet) {
  count(1, output_->write(packet));
}

void Worker::count(std::size_t packets, const WriteResult& result) {
  if (result.status == IoStatus::ok) {
    counters_.packets_written += packets;
    counters_.packets_coalesced += packets - 1;
    counters_.bytes_written += result.size;
  } else {
    counters_.write_failures += packets;
  }
}

void Worker::fail(int error) {
  on_failure_(absl::StrCat("worker ", index_, " lost its TUN queue: ", std::strerror(error)));
}

}  // namespace vipgate
