#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "runtime/log.h"

namespace vipgate {

enum class HealthEvent : std::uint8_t { down, up, unknown };

/// Tells what becomes of backends, in not too many lines: when a switch fails and takes a thousand of them along, the
/// first twenty are named and the others counted. The context must not run any more when it goes.
class HealthLog {
 public:
  using Write = std::function<void(LogLevel, const std::string&)>;
  static constexpr int kMaxLines = 20;  ///< within kWindow
  static constexpr auto kWindow = std::chrono::seconds(10);

  HealthLog(boost::asio::io_context& context, Write write) : write_(std::move(write)), timer_(context) {}

  void add(HealthEvent event, const std::string& line);
  /// Says how many lines were held back.
  void flush();

 private:
  Write write_;
  boost::asio::steady_timer timer_;
  bool open_ = false;  ///< the window
  int lines_ = 0;
  std::array<std::uint64_t, 3> held_back_{};  ///< by HealthEvent
};

}  // namespace vipgate
