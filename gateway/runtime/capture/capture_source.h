#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "runtime/byte_source.h"
#include "runtime/capture/capture_format.h"
#include "runtime/capture/capture_query.h"
#include "runtime/capture/capture_tap.h"

namespace vipgate {

/// A tap at each worker, by worker.
using TapSet = std::vector<std::shared_ptr<CaptureTap>>;

/// Reads a capture's taps and writes its packets down: all workers' by time, as far as they were there when it looked.
/// It looks some hundred times a second, and goes on at once while there is more.
class CaptureSource final : public ByteSource, public std::enable_shared_from_this<CaptureSource> {
 public:
  /// `on_end` is called once, when no more packets are wanted, from the destructor perhaps.
  CaptureSource(boost::asio::io_context& context, CaptureQuery query, CaptureFrame frame, TapSet taps,
                std::function<void(const CaptureSource&)> on_end);
  ~CaptureSource() override;

  /// When all workers know of it.
  void open(std::function<void()> ready) override;
  void read(std::function<void(std::string)> take) override;
  void stop() override;
  std::vector<std::pair<std::string, std::string>> summary() const override;

  bool has_ended() const { return !on_end_; }

 private:
  CaptureCounts lost() const;
  bool is_open() const;
  bool is_closed() const;
  void begin(const std::function<void()>& ready);
  void look();
  void stop_in_time();
  void look_later();
  bool fill();
  std::optional<std::size_t> oldest() const;
  void finish();
  void give(std::string bytes);
  void end();

  boost::asio::steady_timer timer_;
  boost::asio::steady_timer over_;  ///< also when nobody takes anything
  CaptureQuery query_;
  std::unique_ptr<CaptureWriter> writer_;
  TapSet taps_;
  std::function<void(const CaptureSource&)> on_end_;
  std::function<void(std::string)> take_;  ///< none: nobody waits
  std::string bytes_;
  CaptureCounts written_;
  Time begin_;               ///< when it was asked for, and then when it begun
  std::optional<Time> end_;  ///< what came later is not wanted
  bool finished_ = false;
};

}  // namespace vipgate
