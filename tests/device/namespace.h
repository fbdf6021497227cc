#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <iostream>
#include <string>

namespace vipgate {

/// Runs a shell command that must succeed. Returns its output.
inline std::string shell(const std::string& command) {
  std::string output;
  FILE* pipe = ::popen(("(" + command + ") 2>&1").c_str(), "re");
  if (pipe == nullptr) {
    ADD_FAILURE() << "cannot run " << command.substr(0, 500);
    return output;
  }
  char part[4096];
  while (const std::size_t size = std::fread(part, 1, sizeof(part), pipe)) output.append(part, size);
  EXPECT_EQ(::pclose(pipe), 0) << command.substr(0, 500) << ": " << output;
  return output;
}

/// Runs `body` in a process of its own, in a new network namespace whose loopback is up. Its failed expectations fail
/// the calling test. Nothing has to be cleaned up: what the body makes goes with the namespace. Skips the test without
/// root.
inline void in_new_namespace(const std::function<void()>& body) {
  constexpr int kPassed = 0;
  constexpr int kFailed = 1;
  constexpr int kNoRights = 77;
  std::cout.flush();
  std::fflush(nullptr);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::unshare(CLONE_NEWNET) != 0) ::_exit(kNoRights);
    shell("ip link set lo up");
    body();
    std::cout.flush();
    std::fflush(nullptr);
    ::_exit(::testing::Test::HasFailure() ? kFailed : kPassed);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "the test's process died of signal " << WTERMSIG(status);
  if (WEXITSTATUS(status) == kNoRights) GTEST_SKIP() << "skipped: needs root";
  EXPECT_EQ(WEXITSTATUS(status), kPassed) << "see the failures above";
}

}  // namespace vipgate

/// A test whose body runs in a network namespace of its own.
#define NAMESPACE_TEST(suite, name)                   \
  static void suite##_##name##_body();                \
  TEST(suite, name) {                                 \
    vipgate::in_new_namespace(suite##_##name##_body); \
  }                                                   \
  static void suite##_##name##_body()
