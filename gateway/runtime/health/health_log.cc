#include "runtime/health/health_log.h"

#include "absl/strings/str_cat.h"

namespace vipgate {

void HealthLog::add(HealthEvent event, const std::string& line) {
  if (!open_) {
    open_ = true;
    lines_ = 0;
    timer_.expires_after(kWindow);
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (!error) flush();
    });
  }
  if (++lines_ > kMaxLines) {
    ++held_back_.at(static_cast<std::size_t>(event));
  } else {
    write_(event == HealthEvent::up ? LogLevel::info : LogLevel::warning, line);
  }
}

void HealthLog::flush() {
  open_ = false;
  const auto [down, up, unknown] = std::exchange(held_back_, {});
  std::string text;
  const auto count = [&text](std::uint64_t number, const char* what) {
    if (number > 0) absl::StrAppend(&text, text.empty() ? "" : ", ", number, what);
  };
  count(down, " times down");
  count(up, " times up");
  count(unknown, " times not checked");
  if (!text.empty()) write_(LogLevel::warning, absl::StrCat("further backends, all within 10 s: ", text));
}

}  // namespace vipgate
