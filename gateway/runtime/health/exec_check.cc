#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>
#include <vector>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>

#include "absl/strings/str_cat.h"
#include "runtime/health/connection.h"

namespace vipgate {
namespace {

using boost::system::error_code;

/// How long the end waits for a killed program that has not gone yet, in milliseconds.
constexpr int kLastPatience = 1000;

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> environment_for(const Endpoint& backend, const std::string& service) {
  std::vector<std::string> environment;
  for (char** one = environ; *one != nullptr; ++one) {
    if (!std::string_view(*one).starts_with("VIPGATE_")) environment.emplace_back(*one);
  }
  environment.push_back(absl::StrCat("VIPGATE_ADDRESS=", backend.address.to_string()));
  environment.push_back(absl::StrCat("VIPGATE_PORT=", backend.port == 0 ? "" : std::to_string(backend.port)));
  environment.push_back(absl::StrCat("VIPGATE_SERVICE=", service));
  return environment;
}

/// Starts the program without forking: a copy of this process, however short-lived, would have the workers fault on
/// every page that they write. Returns an errno.
int spawn(std::vector<std::string> command, std::vector<std::string> environment, pid_t& pid) {
  constexpr int kFirstUnused = STDERR_FILENO + 1;
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, kFirstUnused);
  ::posix_spawn_file_actions_addchdir_np(&actions, "/");

  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t all;
  sigset_t none;
  ::sigfillset(&all);
  ::sigemptyset(&none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setsigmask(&attributes, &none);

  const int error = ::posix_spawn(&pid, command.front().c_str(), &actions, &attributes, pointers_to(command).data(),
                                  pointers_to(environment).data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  return error;
}

class ExecCheck final : public RunningCheck, public std::enable_shared_from_this<ExecCheck> {
 public:
  ExecCheck(boost::asio::io_context& context, CheckDone done) : end_(context), done_(std::move(done)) {}

  ~ExecCheck() override {  // still running only when nobody waits any more: the process is about to end
    if (pid_ <= 0) return;
    kill_group();
    pollfd wait{.fd = end_.native_handle(), .events = POLLIN, .revents = 0};
    ::poll(&wait, 1, kLastPatience);
    ::waitpid(pid_, nullptr, WNOHANG);
  }

  void start(const std::vector<std::string>& command, std::vector<std::string> environment) {
    if (const int error = spawn(command, std::move(environment), pid_)) {
      pid_ = 0;
      return fail_soon(error, absl::StrCat("cannot run ", command.front(), ": "));
    }
    // With O_CLOEXEC (pidfd_open(2)). Not by glibc 2.36, whose header declares it for C alone.
    const int end = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    if (end < 0) {
      const int error = errno;
      kill_group();
      ::waitpid(pid_, nullptr, 0);
      pid_ = 0;
      return fail_soon(error, "cannot be watched: ");
    }
    end_.assign(end);
    end_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                    [self = shared_from_this()](const error_code& error) { self->ended(error); });
  }

  /// It is reaped when it has gone: end_ goes on waiting.
  std::string cancel() override {
    done_ = nullptr;
    if (pid_ > 0) kill_group();
    return "still running";
  }

 private:
  void fail_soon(int error, const std::string& what) {
    const error_code code(error, boost::system::system_category());
    const CheckVerdict verdict = is_own_trouble(error) ? CheckVerdict::unknown : CheckVerdict::failed;
    boost::asio::post(end_.get_executor(),
                      [self = shared_from_this(), result = CheckResult{verdict, what + code.message()}] {
                        if (const CheckDone done = std::exchange(self->done_, nullptr)) done(result);
                      });
  }

  /// The group keeps its number as long as its first process is not reaped.
  void kill_group() const { ::kill(-pid_, SIGKILL); }

  void ended(const error_code& error) {
    if (error) return;
    kill_group();  // what the program has left behind
    siginfo_t info{};
    const int reaped = ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG);
    pid_ = 0;
    end_.close();
    const CheckDone done = std::exchange(done_, nullptr);
    if (!done) return;
    if (reaped != 0) return done({CheckVerdict::unknown, "cannot be made: the exit code is lost"});
    if (info.si_code != CLD_EXITED)
      return done({CheckVerdict::failed, absl::StrCat("killed by signal ", info.si_status)});
    done({info.si_status == 0 ? CheckVerdict::passed : CheckVerdict::failed,
          absl::StrCat("exit code ", info.si_status)});
  }

  boost::asio::posix::stream_descriptor end_;  ///< readable when the program has ended
  CheckDone done_;
  pid_t pid_ = 0;  ///< of the program, until it is reaped
};

}  // namespace

std::shared_ptr<RunningCheck> start_exec_check(boost::asio::io_context& context, const Endpoint& backend,
                                               const HealthCheck& check, const std::string& service, CheckDone done) {
  auto running = std::make_shared<ExecCheck>(context, std::move(done));
  running->start(check.command, environment_for(backend, service));
  return running;
}

}  // namespace vipgate
