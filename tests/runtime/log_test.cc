#include "runtime/log.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <array>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vipgate {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

/// The standard error as a pipe that is read when the test wants to.
class LogTest : public testing::Test {
 protected:
  LogTest() {
    EXPECT_EQ(::pipe2(pipe_.data(), O_CLOEXEC), 0);
    ::dup2(pipe_[1], STDERR_FILENO);
    ::close(pipe_[1]);
  }
  ~LogTest() override {
    ::dup2(before_, STDERR_FILENO);
    ::close(before_);
    ::close(pipe_[0]);
  }

  /// What is in the pipe.
  std::string read() const {
    std::string text(1 << 20, '\0');
    const ssize_t size = ::read(pipe_[0], text.data(), text.size());
    text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return text;
  }

  int before_ = ::dup(STDERR_FILENO);
  std::array<int, 2> pipe_{};
};

TEST_F(LogTest, ALineHasItsLevel) {
  log_warning("careful");
  EXPECT_THAT(read(), EndsWith(" warning: careful\n"));
}

TEST_F(LogTest, ALongLineIsCut) {
  log_info(std::string(100000, 'x'));
  EXPECT_EQ(read().size(), PIPE_BUF);
}

TEST_F(LogTest, Fault25_AReaderThatDoesNotReadHoldsUpNothing) {
  for (int i = 0; i < 200; ++i) log_info(std::string(4000, 'x'));  // more than a pipe holds
  EXPECT_THAT(read(), Not(HasSubstr("lost")));
  log_info("again");
  const std::string heard = read();
  EXPECT_THAT(heard, HasSubstr(" lines before this were lost"));
  EXPECT_THAT(heard, EndsWith("again\n"));
  log_info("and again");
  EXPECT_THAT(read(), Not(HasSubstr("lost")));
}

}  // namespace
}  // namespace vipgate
