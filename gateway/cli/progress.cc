#include "cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <string>

#include "absl/strings/str_format.h"

namespace vipgate {
namespace {

/// What takes less needs no bar; and from one drawing to the next.
constexpr auto kPause = std::chrono::milliseconds(200);
constexpr std::size_t kWidth = 40;

}  // namespace

ProgressBar::ProgressBar(const PcapReader& reader)
    : reader_(reader),
      wanted_(::isatty(STDERR_FILENO) != 0),
      shares_terminal_(::isatty(STDOUT_FILENO) != 0),
      due_(Clock::now() + kPause) {}

void ProgressBar::update() {
  if (!wanted_ || Clock::now() < due_) return;
  due_ = Clock::now() + kPause;
  const auto progress = reader_.progress();
  if (!progress || progress->size == 0) {
    wanted_ = false;
    return;
  }
  const double part = std::min(1.0, static_cast<double>(progress->read) / static_cast<double>(progress->size));
  const auto done = static_cast<std::size_t>(part * static_cast<double>(kWidth));
  std::cerr << absl::StrFormat("\r[%s%s] %3.0f %% of %.1f MB", std::string(done, '#'), std::string(kWidth - done, '.'),
                               100 * part, static_cast<double>(progress->size) / 1e6)
            << std::flush;
  shown_ = true;
}

void ProgressBar::clear() {
  if (!shown_) return;
  std::cerr << "\r\x1b[K" << std::flush;
  shown_ = false;
}

}  // namespace vipgate
