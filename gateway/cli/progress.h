#pragma once

#include <chrono>

#include "device/pcap_file.h"

namespace vipgate {

/// A bar on the standard error that shows how much of a capture has been read, where that is a terminal and the capture
/// a file; else nothing.
class ProgressBar {
 public:
  explicit ProgressBar(const PcapReader& reader);
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// To be called after each packet; draws now and then.
  void update();
  /// To be called before something is written to the standard output, which may be the same terminal.
  void give_way() {
    if (shares_terminal_) clear();
  }

 private:
  void clear();

  using Clock = std::chrono::steady_clock;

  const PcapReader& reader_;
  bool wanted_;
  bool shares_terminal_;
  bool shown_ = false;
  Clock::time_point due_;
};

}  // namespace vipgate
