#include "runtime/worker.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "runtime/flow_storage.h"
#include "runtime/thread_priority.h"
#include "support/packet_builder.h"

namespace vipgate {
namespace {

using test::udp;
using test::WirePacket;

/// The scheduling policy of a thread of this process, by its name; none as long as there is no such thread.
std::optional<int> policy_of(const std::string& name) {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string found;
    std::getline(std::ifstream(task.path() / "comm") >> std::ws, found);
    if (found == name) return ::sched_getscheduler(std::stoi(task.path().filename())) & ~SCHED_RESET_ON_FORK;
  }
  return std::nullopt;
}

constexpr std::string_view kClient = "198.51.100.7:1024";
constexpr std::string_view kVip = "203.0.113.10:53";

Rules rules() {
  Service service;
  service.protocols = {Protocol::udp};
  service.ports = {{53, 53}};
  Backend backend;
  backend.address = Ipv4Address::parse("10.0.0.2").value();
  service.backends = {backend};
  Vip vip;
  vip.address = Ipv4Address::parse("203.0.113.10").value();
  vip.services = {service};
  Rules all;
  all.vips = {vip};
  all.masquerade = {Ipv4Address::parse("203.0.113.14").value()};
  return all;
}

/// Both ends of a queue that keeps packets apart, as a TUN does.
struct Pipe {
  explicit Pipe(int flags) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    far = UniqueFd(ends[1]);
    EXPECT_EQ(::fcntl(ends[0], F_SETFL, flags), 0);
    queue.emplace(UniqueFd(ends[0]));
  }
  std::optional<TunQueue> queue;
  UniqueFd far;
};

/// A worker whose packets the test gives and takes. It waits when the test takes none.
class WorkerTest : public testing::Test {
 protected:
  WorkerTest()
      : storage_(*FlowStorage::allocate(1024)),
        small_(udp(kClient, kVip).payload_of(4).build()),
        super_packet_(udp(kClient, kVip).payload_of(1000).gso(500).build()),
        input_(O_NONBLOCK),
        output_(0) {
    // It gets ahead of the test by a few packets, far fewer than wait to be read.
    const int least = 1;
    EXPECT_EQ(::setsockopt(output_.queue->fd(), SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
    TunQueue* const inputs[] = {&*input_.queue};
    workers_.push_back(std::make_unique<Worker>(
        inputs, *output_.queue, EngineOptions{.worker = 0, .workers = 1, .seed = 1, .memory = storage_.memory()},
        compile(rules(), 1), Coalescing::none, hand_off_, wake_trials_, workers_,
        [](const std::string& why) { ADD_FAILURE() << why; }));
  }

  ~WorkerTest() override {
    workers_[0]->ask_to_stop();
    while (!workers_[0]->wait_until_stopped(Worker::Clock::now() + std::chrono::milliseconds(1))) take_all();
  }

  /// False: there is no room for another packet.
  bool give(WirePacket& packet) {
    VirtioHeader virtio = packet.virtio();
    iovec parts[] = {{&virtio, sizeof virtio}, {packet.bytes().data(), packet.bytes().size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = std::size(parts);
    return ::sendmsg(input_.far.get(), &message, MSG_DONTWAIT) > 0;
  }
  bool take(int flags = 0) {
    std::array<std::uint8_t, 2048> bytes;
    return ::recv(output_.far.get(), bytes.data(), bytes.size(), flags) > 0;
  }
  void take_all() {
    while (take(MSG_DONTWAIT)) {
    }
  }

  /// So many super-packets that a worker who may have a real-time thread takes it.
  void pass_one_by_one() {
    for (std::uint32_t i = 0; i < WakeTrials::kTrial; ++i) {
      ASSERT_TRUE(give(super_packet_));
      ASSERT_TRUE(take());
    }
  }

  void wait_for_policy(int policy) {
    const auto deadline = Worker::Clock::now() + std::chrono::seconds(20);
    while (policy_of("vipgate-w0") != policy && Worker::Clock::now() < deadline) {
      take_all();
      std::this_thread::yield();
    }
    EXPECT_EQ(policy_of("vipgate-w0"), policy);
  }

  FlowStorage storage_;
  WirePacket small_;
  WirePacket super_packet_;
  Pipe input_;
  Pipe output_;
  HandOff hand_off_{1};
  WakeTrials wake_trials_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

/// One that has read super-packets, one by one, and so has its real-time thread.
class RealtimeWorkerTest : public WorkerTest {
 protected:
  void SetUp() override {
    if (!ThreadPriority::check_realtime().ok()) GTEST_SKIP() << "no right to real-time scheduling";
    workers_[0]->start(/*realtime=*/true);
    pass_one_by_one();
    wait_for_policy(SCHED_FIFO);
  }
};

constexpr int kMany = 10'000;  // packets: far more than a worker takes at a stretch

TEST_F(RealtimeWorkerTest, AFloodCostsItItsPriority) {
  for (int i = 0; i < kMany; ++i) {
    while (give(super_packet_)) {
    }
    ASSERT_TRUE(take());
  }
  EXPECT_EQ(policy_of("vipgate-w0"), SCHED_OTHER);
  wait_for_policy(SCHED_FIFO);
}

TEST_F(RealtimeWorkerTest, ManySmallPacketsAreGathered) {
  for (int i = 0; i < kMany && policy_of("vipgate-w0") == SCHED_FIFO; ++i) {
    ASSERT_TRUE(give(small_));
    ASSERT_TRUE(take());
  }
  EXPECT_EQ(policy_of("vipgate-w0"), SCHED_OTHER);
  ASSERT_TRUE(give(super_packet_));
  wait_for_policy(SCHED_FIFO);
}

TEST_F(RealtimeWorkerTest, PriorityOutlivesAPause) {
  workers_[0]->ask_to_stop();
  ASSERT_TRUE(workers_[0]->wait_until_stopped(Worker::Clock::now() + std::chrono::seconds(20)));
  workers_[0]->go_on();
  ASSERT_TRUE(give(super_packet_));
  wait_for_policy(SCHED_FIFO);
}

TEST_F(WorkerTest, IsOrdinaryUnlessTold) {
  workers_[0]->start(/*realtime=*/false);
  pass_one_by_one();
  EXPECT_EQ(policy_of("vipgate-w0"), SCHED_OTHER);
}

}  // namespace
}  // namespace vipgate
