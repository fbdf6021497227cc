#include "runtime/log.h"

#include <unistd.h>

#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace vipgate {

void log_line(LogLevel level, std::string_view text) {
  // systemd's journal has its own times.
  static const bool in_journal = std::getenv("JOURNAL_STREAM") != nullptr;
  std::string line = in_journal ? "" : absl::FormatTime("%Y-%m-%d %H:%M:%E3S ", absl::Now(), absl::LocalTimeZone());
  if (level == LogLevel::warning) absl::StrAppend(&line, "warning: ");
  if (level == LogLevel::error) absl::StrAppend(&line, "error: ");
  absl::StrAppend(&line, std::string(text), "\n");
  // Nothing can be said about a log that cannot be written.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace vipgate
