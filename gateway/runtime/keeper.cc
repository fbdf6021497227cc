#include "runtime/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"
#include "device/descriptors.h"

namespace vipgate {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kHold = "hold";
constexpr const char* kLeave = "leave";
constexpr const char* kQueues = "queues";

// Of the started program.
constexpr int kListener = 3;
constexpr int kOwner = 4;
constexpr int kFirstFree = 5;

/// A keeper answers at once, or as soon as it has seen its owner die.
constexpr timeval kAnswerTime{.tv_sec = 2, .tv_usec = 0};

std::vector<int> numbers_of(std::span<const UniqueFd> descriptors) {
  std::vector<int> numbers;
  for (const UniqueFd& descriptor : descriptors) numbers.push_back(descriptor.get());
  return numbers;
}

/// How the program is started: nothing of ours but the two sockets, in a session that no terminal ends.
class Start {
 public:
  Start() {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
    for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
      ::posix_spawn_file_actions_addopen(&actions_, standard, "/dev/null", O_RDWR, 0);
    }
    sigset_t signals;
    sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&attributes_, &signals);
    sigfillset(&signals);
    ::posix_spawnattr_setsigdefault(&attributes_, &signals);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~Start() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  Start(const Start&) = delete;
  Start& operator=(const Start&) = delete;

  void pass(const UniqueFd& descriptor, int place) {
    ::posix_spawn_file_actions_adddup2(&actions_, descriptor.get(), place);
  }
  /// 0 or errno.
  int run(pid_t& child) {
    std::array<char, 8> program{"vipgate"};
    std::array<char, 5> command{"keep"};
    const std::array<char*, 3> arguments{program.data(), command.data(), nullptr};
    // The file of this very process, whatever has become of its name.
    return ::posix_spawn(&child, "/proc/self/exe", &actions_, &attributes_, arguments.data(), environ);
  }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

/// The same, at a number that is no place of the started program.
UniqueFd out_of_the_way(const UniqueFd& descriptor) {
  return UniqueFd(::fcntl(descriptor.get(), F_DUPFD_CLOEXEC, kFirstFree));
}

}  // namespace

Keeper::Keeper(const std::string& device) : name_(absl::StrCat("vipgate/keeper/", device)) {}

std::vector<UniqueFd> Keeper::take_over() {
  absl::StatusOr<UniqueFd> connection = connect_to(name_);
  if (!connection.ok() || !is_of_same_user(*connection)) return {};
  (void)::setsockopt(connection->get(), SOL_SOCKET, SO_RCVTIMEO, &kAnswerTime, sizeof(kAnswerTime));
  absl::StatusOr<DescriptorMessage> answer = receive_message(*connection);
  if (!answer.ok() || answer->text != kQueues) return {};
  connection_ = *std::move(connection);
  return std::move(answer->descriptors);
}

absl::Status Keeper::start() {
  if (child_ != 0) (void)::waitpid(child_, nullptr, WNOHANG);
  const absl::StatusOr<UniqueFd> listener = listen_at(name_);
  if (!listener.ok()) return listener.status();
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    return absl::ErrnoToStatus(errno, "cannot make a pair of sockets");
  }
  connection_.reset(pair[0]);
  const UniqueFd other(pair[1]);
  const UniqueFd listener_to_pass = out_of_the_way(*listener);
  const UniqueFd other_to_pass = out_of_the_way(other);
  Start start;
  start.pass(listener_to_pass, kListener);
  start.pass(other_to_pass, kOwner);
  if (const int error = start.run(child_); error != 0) {
    connection_.reset();
    child_ = 0;
    return absl::ErrnoToStatus(error, "cannot start a process");
  }
  return absl::OkStatus();
}

absl::Status Keeper::hold(std::span<const int> queues) {
  if (connection_ && send_message(connection_, kHold, queues).ok()) return absl::OkStatus();
  connection_.reset();  // it has gone meanwhile
  if (absl::Status status = start(); !status.ok()) return status;
  return send_message(connection_, kHold, queues);
}

void Keeper::dismiss() {
  if (!connection_) return;
  if (send_message(connection_, kLeave).ok()) {
    (void)::setsockopt(connection_.get(), SOL_SOCKET, SO_RCVTIMEO, &kAnswerTime, sizeof(kAnswerTime));
    (void)receive_message(connection_);  // its end: from then on nobody else has the queues
  }
  connection_.reset();
  if (child_ != 0) (void)::waitpid(child_, nullptr, WNOHANG);
  child_ = 0;
}

void keep_queues(UniqueFd listener, UniqueFd owner, std::chrono::milliseconds patience) {
  std::vector<UniqueFd> queues;
  Clock::time_point leave_at;
  while (true) {
    // A new owner waits until the last one is seen to be gone.
    const bool owned = static_cast<bool>(owner);
    pollfd waiting{.fd = owned ? owner.get() : listener.get(), .events = POLLIN, .revents = 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(leave_at - Clock::now());
    if (!owned && left.count() <= 0) return;
    if (::poll(&waiting, 1, owned ? -1 : static_cast<int>(left.count())) <= 0) continue;
    if (!owned) {
      UniqueFd next(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!next || !is_of_same_user(next)) continue;
      if (send_message(next, kQueues, numbers_of(queues)).ok()) owner = std::move(next);
      continue;
    }
    absl::StatusOr<DescriptorMessage> message = receive_message(owner);
    if (message.ok() && message->text == kLeave) return;
    if (message.ok() && message->text == kHold) {
      queues = std::move(message->descriptors);
    } else if (!message.ok() || message->text.empty()) {
      owner.reset();
      if (queues.empty()) return;
      leave_at = Clock::now() + patience;
    }
  }
}

void run_keeper() {
  (void)::close_range(kFirstFree, ~0U, 0);
  (void)::prctl(PR_SET_NAME, "vipgate-keeper");
  if (::chdir("/") != 0) return;
  keep_queues(UniqueFd(kListener), UniqueFd(kOwner), kKeeperPatience);
}

}  // namespace vipgate
