#include "runtime/keeper.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "device/descriptors.h"

namespace vipgate::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// A keeper in a thread, for a device that only this test knows, with pipes in the place of queues.
class KeeperTest : public ::testing::Test {
 protected:
  void TearDown() override {
    if (thread_.joinable()) thread_.join();
  }

  /// Returns the first owner's end.
  UniqueFd start(milliseconds patience) {
    auto listener = listen_at("vipgate/keeper/" + device_);
    EXPECT_TRUE(listener.ok()) << listener.status();
    std::array<int, 2> pair{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
    thread_ = std::thread([listener = *std::move(listener), owner = UniqueFd(pair[1]), patience]() mutable {
      keep_queues(std::move(listener), std::move(owner), patience);
    });
    return UniqueFd(pair[0]);
  }

  /// Tells the keeper to hold the ends of a pipe that are written to. Returns the other end, which reads that nobody
  /// can write any more.
  static UniqueFd hold_a_pipe(const UniqueFd& owner) {
    std::array<int, 2> pipe{};
    EXPECT_EQ(::pipe2(pipe.data(), O_CLOEXEC | O_NONBLOCK), 0);
    const UniqueFd written(pipe[1]);
    EXPECT_TRUE(send_message(owner, "hold", std::array{written.get()}).ok());
    return UniqueFd(pipe[0]);
  }
  static bool is_open_elsewhere(const UniqueFd& read) {
    char byte = 0;
    return ::read(read.get(), &byte, 1) != 0;
  }

  std::string device_ = "test-" + std::to_string(::getpid());
  std::thread thread_;
};

TEST_F(KeeperTest, ANewOwnerGetsTheQueuesOfAKilledOne) {
  UniqueFd owner = start(seconds(30));
  const UniqueFd pipe = hold_a_pipe(owner);
  owner.reset();
  std::optional<Keeper> next(device_);
  std::vector<UniqueFd> queues = next->take_over();
  ASSERT_EQ(queues.size(), 1U);
  ASSERT_EQ(::write(queues[0].get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(pipe.get(), &byte, 1), 1) << "it is the very pipe";

  // That one may be killed, too; what it had by then is kept.
  std::array<int, 2> more{};
  ASSERT_EQ(::pipe2(more.data(), O_CLOEXEC | O_NONBLOCK), 0);
  const UniqueFd read_end(more[0]);
  UniqueFd write_end(more[1]);
  EXPECT_TRUE(next->hold(std::array{queues[0].get(), write_end.get()}).ok());
  write_end.reset();
  next.reset();
  Keeper third(device_);
  queues = third.take_over();
  EXPECT_EQ(queues.size(), 2U);
  queues.clear();
  EXPECT_TRUE(is_open_elsewhere(read_end));
  third.dismiss();
  EXPECT_FALSE(is_open_elsewhere(read_end));
}

TEST_F(KeeperTest, ANewOwnerWaitsUntilTheLastIsGone) {
  UniqueFd owner = start(seconds(30));
  const UniqueFd pipe = hold_a_pipe(owner);
  std::thread dying([owner = std::move(owner)]() mutable {
    std::this_thread::sleep_for(milliseconds(20));
    owner.reset();
  });
  Keeper next(device_);
  EXPECT_EQ(next.take_over().size(), 1U);
  dying.join();
  next.dismiss();
}

TEST_F(KeeperTest, AnotherUserGetsNothing) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  UniqueFd owner = start(seconds(30));
  const UniqueFd pipe = hold_a_pipe(owner);
  owner.reset();
  constexpr uid_t kNobody = 65534;
  // Of this thread alone, which glibc's function would not do.
  ASSERT_EQ(::syscall(SYS_setresuid, -1, kNobody, -1), 0);
  const auto connection = connect_to("vipgate/keeper/" + device_);
  ASSERT_EQ(::syscall(SYS_setresuid, -1, 0, -1), 0);
  ASSERT_TRUE(connection.ok());
  const auto answer = receive_message(*connection);
  EXPECT_FALSE(answer.ok() && !answer->descriptors.empty());
  Keeper next(device_);
  EXPECT_EQ(next.take_over().size(), 1U);
  next.dismiss();
}

TEST_F(KeeperTest, ItLeavesAtOnceWhenToldTo) {
  const UniqueFd owner = start(seconds(30));
  const UniqueFd pipe = hold_a_pipe(owner);
  EXPECT_TRUE(is_open_elsewhere(pipe));
  EXPECT_TRUE(send_message(owner, "leave").ok());
  thread_.join();
  EXPECT_FALSE(is_open_elsewhere(pipe));
  EXPECT_TRUE(Keeper(device_).take_over().empty()) << "and nobody listens any more";
}

TEST_F(KeeperTest, ItLeavesWhenNobodyHasComeForLong) {
  UniqueFd owner = start(milliseconds(150));
  const UniqueFd pipe = hold_a_pipe(owner);
  const auto began = std::chrono::steady_clock::now();
  owner.reset();
  thread_.join();
  EXPECT_GE(std::chrono::steady_clock::now() - began, milliseconds(150));
  EXPECT_FALSE(is_open_elsewhere(pipe));
}

TEST_F(KeeperTest, ThereIsOneForADevice) {
  const UniqueFd owner = start(seconds(30));
  EXPECT_TRUE(absl::IsAlreadyExists(listen_at("vipgate/keeper/" + device_).status()));
  EXPECT_TRUE(send_message(owner, "leave").ok());
}

TEST(Descriptors, MoreThanAMessageBearsAreRefused) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
  const UniqueFd one(pair[0]);
  const UniqueFd other(pair[1]);
  const std::vector<int> many(kMaxPassedDescriptors, other.get());
  EXPECT_TRUE(send_message(one, "all", many).ok());
  const auto received = receive_message(other);
  ASSERT_TRUE(received.ok());
  EXPECT_EQ(received->text, "all");
  EXPECT_EQ(received->descriptors.size(), kMaxPassedDescriptors);
  EXPECT_NE(::fcntl(received->descriptors[0].get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_TRUE(absl::IsInvalidArgument(send_message(one, "x", std::vector<int>(kMaxPassedDescriptors + 1, 0))));
}

}  // namespace
}  // namespace vipgate::test
