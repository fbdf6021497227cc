// Checks by programs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>

#include "health_server.h"
#include "support/temporary_folder.h"

namespace vipgate {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class HealthExecTest : public testing::Test {
 protected:
  static HealthCheck running(std::vector<std::string> command) {
    HealthCheck check;
    check.type = HealthType::exec;
    check.command = std::move(command);
    return check;
  }
  static HealthCheck script(const std::string& text) { return running({"/bin/sh", "-c", text, "check"}); }

  CheckResult result_of(const HealthCheck& check, const Endpoint& backend = {Ipv4Address(0x0A000002), 8080}) {
    std::optional<CheckResult> result;
    start_exec_check(context_, backend, check, "web", [&](const CheckResult& ended) { result = ended; });
    EXPECT_FALSE(result.has_value()) << "called from within the start";
    EXPECT_TRUE(run_until(context_, [&] { return result.has_value(); }));
    return result.value_or(CheckResult{});
  }

  std::string file(const std::string& name) const { return folder_.path() + "/" + name; }
  std::string content(const std::string& name) const {
    std::ifstream stream(file(name));
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  /// Waits for a file with a whole line.
  std::string line_of(const std::string& name) {
    EXPECT_TRUE(run_until(context_, [&] { return content(name).ends_with('\n'); }));
    return content(name);
  }

  static bool is_alive(pid_t pid) {
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(stat, text);
    const std::size_t name_end = text.rfind(')');
    return name_end != std::string::npos && text.at(name_end + 2) != 'Z';  // a zombie of init's is none of ours
  }
  static void expect_no_children() {
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
    EXPECT_EQ(errno, ECHILD);
  }

  boost::asio::io_context context_{1};
  test::TemporaryFolder folder_;
};

TEST_F(HealthExecTest, GoesByTheExitCode) {
  CheckResult result = result_of(running({"/bin/true"}));
  EXPECT_EQ(result.verdict, CheckVerdict::passed);
  EXPECT_EQ(result.reason, "exit code 0");
  result = result_of(script("exit 3"));
  EXPECT_EQ(result.verdict, CheckVerdict::failed);
  EXPECT_EQ(result.reason, "exit code 3");
  result = result_of(script("kill -USR1 $$"));
  EXPECT_EQ(result.verdict, CheckVerdict::failed);
  EXPECT_EQ(result.reason, "killed by signal 10");
  expect_no_children();
}

TEST_F(HealthExecTest, WhatCannotBeRunFails) {
  CheckResult result = result_of(running({"/nonexistent/check"}));
  EXPECT_EQ(result.verdict, CheckVerdict::failed);
  EXPECT_EQ(result.reason, "cannot run /nonexistent/check: No such file or directory");
  EXPECT_THAT(result_of(running({folder_.path()})).reason, HasSubstr("Permission denied"));
  expect_no_children();
}

TEST_F(HealthExecTest, ToldAboutTheBackend) {
  ::setenv("VIPGATE_PORT", "stale", 1);
  ::setenv("HEALTH_TEST", "inherited", 1);
  const std::string all =
      R"(echo "$VIPGATE_ADDRESS $VIPGATE_PORT $VIPGATE_SERVICE $HEALTH_TEST $0 $#" > )" + file("env");
  EXPECT_EQ(result_of(script(all)).verdict, CheckVerdict::passed);
  EXPECT_EQ(content("env"), "10.0.0.2 8080 web inherited check 0\n");
  EXPECT_EQ(result_of(script("env | grep -c ^VIPGATE_PORT= > " + file("count"))).verdict, CheckVerdict::passed);
  EXPECT_EQ(content("count"), "1\n");
  result_of(script(all), {Ipv4Address(0x0A000003), 0});
  EXPECT_EQ(content("env"), "10.0.0.3  web inherited check 0\n");
  ::unsetenv("VIPGATE_PORT");
  ::unsetenv("HEALTH_TEST");
}

TEST_F(HealthExecTest, InheritsNothing) {
  const int inherited = ::open("/dev/zero", O_RDONLY);  // without O_CLOEXEC
  ASSERT_GT(inherited, STDERR_FILENO);
  sigset_t blocked;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &blocked, nullptr);
  ::signal(SIGUSR2, SIG_IGN);
  // A child of the shell looks at it while it waits: when it starts programs, its own descriptors and signals change.
  const CheckResult result = result_of(script(
      "(sleep 0.1; readlink /proc/$$/fd/* > " + folder_.path() + "/fds; grep -E '^Sig(Blk|Ign)' /proc/$$/status > " +
      folder_.path() + "/signals) & wait; cut -d' ' -f5 /proc/$$/stat > " + folder_.path() + "/group; echo $$ >> " +
      folder_.path() + "/group; pwd >> " + folder_.path() + "/group"));
  ::signal(SIGUSR2, SIG_DFL);
  ::sigprocmask(SIG_UNBLOCK, &blocked, nullptr);
  ::close(inherited);
  EXPECT_EQ(result.verdict, CheckVerdict::passed);
  EXPECT_EQ(content("fds"), "/dev/null\n/dev/null\n/dev/null\n");
  const std::string signals = content("signals");
  EXPECT_THAT(signals, testing::StartsWith("SigBlk:\t0000000000000000\nSigIgn:\t"));
  constexpr std::uint64_t kOfGlibc = 3ULL << 31;  // 32 and 33, which its posix_spawn() has ignored
  EXPECT_EQ(std::stoull(signals.substr(signals.rfind('\t')), nullptr, 16) & ~kOfGlibc, 0U) << signals;
  const std::string group = content("group");
  const std::string pid = group.substr(0, group.find('\n'));
  EXPECT_EQ(group, pid + "\n" + pid + "\n/\n") << "a process group of its own, in /";
}

TEST_F(HealthExecTest, WhatItLeavesBehindIsKilled) {
  const CheckResult result = result_of(script("sleep 1000 & echo $! > " + file("child")));
  EXPECT_EQ(result.verdict, CheckVerdict::passed);
  const pid_t child = std::stoi(line_of("child"));
  EXPECT_TRUE(run_until(context_, [&] { return !is_alive(child); }));
  expect_no_children();
}

TEST_F(HealthExecTest, WhatHangsIsKilledWithItsChildren) {
  const auto check = start_exec_check(
      context_, {},
      script("trap '' TERM; sleep 1000 & echo $! > " + file("child") + "; echo $$ > " + file("own") + "; wait"), "web",
      [](const CheckResult& result) { ADD_FAILURE() << result.reason; });
  const pid_t child = std::stoi(line_of("child"));
  const pid_t own = std::stoi(line_of("own"));
  EXPECT_TRUE(is_alive(own));
  EXPECT_EQ(check->cancel(), "still running");
  EXPECT_TRUE(run_until(context_, [&] { return !is_alive(child) && ::kill(own, 0) != 0; })) << "killed and reaped";
  expect_no_children();
}

TEST_F(HealthExecTest, NoneIsLeftWhenTheContextEnds) {
  pid_t own = 0;
  {
    boost::asio::io_context short_lived{1};
    start_exec_check(short_lived, {}, script("echo $$ > " + file("own") + "; exec sleep 1000"), "web",
                     [](const CheckResult&) { ADD_FAILURE(); });
    own = std::stoi(line_of("own"));
    short_lived.poll();
  }
  EXPECT_FALSE(is_alive(own));
  expect_no_children();
}

}  // namespace
}  // namespace vipgate
