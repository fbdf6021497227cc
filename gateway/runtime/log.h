#pragma once

#include <string_view>

namespace vipgate {

enum class LogLevel { info, warning, error };

/// Writes one line to the standard error. Control thread only: a reader that does not read must never hold up packets.
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
