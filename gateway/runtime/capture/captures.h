#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "absl/status/statusor.h"
#include "runtime/capture/capture_source.h"

namespace vipgate {

/// The captures of a gateway, of which there are few at a time. To be used on the control thread.
class Captures {
 public:
  /// How taps get to the workers, and away from them.
  struct Hooks {
    std::function<void(const TapSet&)> tap;
    std::function<void(const TapSet&)> untap;
  };
  Captures(boost::asio::io_context& context, Hooks hooks);
  ~Captures();

  /// Unavailable: there are kMaxCaptures already.
  absl::StatusOr<std::shared_ptr<ByteSource>> start(CaptureQuery query, const std::string& device, std::size_t workers);
  /// Ends all, and calls `done` when their readers have got the rest, or take nothing for a second; at once where there
  /// is none.
  void end_all(std::function<void()> done);
  /// Frees what ended captures have used and no worker uses any more. To be called now and then.
  void free_ended();

 private:
  void wait_for_readers(std::chrono::steady_clock::time_point deadline, std::function<void()> done);

  boost::asio::io_context& context_;
  boost::asio::steady_timer timer_;
  Hooks hooks_;
  std::vector<std::weak_ptr<CaptureSource>> sources_;
  /// Until no worker has them, nor a reader: to free them takes longer than packets wait.
  std::vector<std::shared_ptr<CaptureTap>> ended_;
  std::shared_ptr<Captures*> self_;  ///< for sources that outlive it
};

}  // namespace vipgate
