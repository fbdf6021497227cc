#pragma once

#include <string_view>

namespace vipgate {

enum class LogLevel { info, warning, error };

/// Writes one line to the standard error, cut to PIPE_BUF bytes. Control thread only. A reader that does not read holds
/// up nothing: lines are lost then, and counted.
void log_line(LogLevel level, std::string_view text);

inline void log_info(std::string_view text) {
  log_line(LogLevel::info, text);
}
inline void log_warning(std::string_view text) {
  log_line(LogLevel::warning, text);
}
inline void log_error(std::string_view text) {
  log_line(LogLevel::error, text);
}

}  // namespace vipgate
