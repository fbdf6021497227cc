#include "runtime/log.h"

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace vipgate {
namespace {

/// Whether a line of up to PIPE_BUF bytes can be written without waiting (POSIX, write(): pipes).
bool can_write() {
  pollfd descriptor{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  return ::poll(&descriptor, 1, 0) == 1;
}

}  // namespace

void log_line(LogLevel level, std::string_view text) {
  // systemd's journal has its own times.
  static const bool in_journal = std::getenv("JOURNAL_STREAM") != nullptr;
  static std::size_t lost = 0;
  if (!can_write()) {
    ++lost;
    return;
  }
  std::string line = in_journal ? "" : absl::FormatTime("%Y-%m-%d %H:%M:%E3S ", absl::Now(), absl::LocalTimeZone());
  if (lost > 0) absl::StrAppend(&line, "(", lost, " lines before this were lost: nobody read the log) ");
  lost = 0;
  if (level == LogLevel::warning) absl::StrAppend(&line, "warning: ");
  if (level == LogLevel::error) absl::StrAppend(&line, "error: ");
  absl::StrAppend(&line, std::string(text));
  line.resize(std::min<std::size_t>(line.size(), PIPE_BUF - 1));
  line += '\n';
  // Nothing can be said about a log that cannot be written.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace vipgate
