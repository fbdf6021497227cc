#include "runtime/service_manager.h"

#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"

namespace vipgate {
namespace {

/// This process's environment, but for whom the watchdog looks at: that is the successor.
std::vector<char*> successors_environment() {
  constexpr const char* kWatched = "WATCHDOG_PID=";
  std::vector<char*> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (std::strncmp(*variable, kWatched, std::strlen(kWatched)) != 0) variables.push_back(*variable);
  }
  variables.push_back(nullptr);
  return variables;
}

}  // namespace

void tell_ready() {
  (void)sd_notify(0, absl::StrCat("READY=1\nMAINPID=", ::getpid()).c_str());
}

void tell_stopping() {
  (void)sd_notify(0, "STOPPING=1");
}

void tell_alive() {
  (void)sd_notify(0, "WATCHDOG=1");
}

std::string own_program() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error);
}

absl::Status start_successor(const std::string& program, const std::string& config_file) {
  std::string path = program;
  std::string config = config_file;
  std::array<char[16], 3> words{"run", "--takeover", "--config"};
  std::array<char*, 6> arguments{path.data(), words[0], words[1], words[2], config.data(), nullptr};
  std::vector<char*> environment = successors_environment();
  // Twice, so that it is no child of ours that we would have to wait for. What stands between fork and exec must be
  // async-signal-safe: other threads may hold any lock.
  const pid_t between = ::fork();
  if (between < 0) return absl::ErrnoToStatus(errno, "cannot start another process");
  if (between == 0) {
    const pid_t successor = ::fork();
    if (successor == 0) {
      ::execve(arguments[0], arguments.data(), environment.data());
      ::_exit(127);
    }
    ::_exit(successor < 0 ? 1 : 0);
  }
  int status = 0;
  while (::waitpid(between, &status, 0) < 0 && errno == EINTR) {
  }
  return status == 0 ? absl::OkStatus() : absl::UnavailableError("cannot start another process");
}

}  // namespace vipgate
