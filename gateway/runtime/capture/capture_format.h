#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "runtime/capture/capture_ring.h"
#include "vipgate/time.h"

namespace vipgate {

/// How packets are written down.
enum class CaptureFormat : std::uint8_t {
  pcapng,  ///< both sides of each, with a comment
  text,    ///< a line a packet
};

/// What does not change during a capture.
struct CaptureFrame {
  std::string device;       ///< "tun0"
  std::string filter;       ///< in words; empty: everything
  std::size_t snaplen = 0;  ///< bytes
  std::size_t workers = 1;
  Duration since_1970{};  ///< to be added to the engine's times, so that they are the wall clock's
};

/// At the end of a capture: how many packets, and how many sides of them.
struct CaptureCounts {
  std::uint64_t packets = 0;
  std::uint64_t in = 0;
  std::uint64_t out = 0;

  CaptureCounts operator+(const CaptureCounts& other) const {
    return {packets + other.packets, in + other.in, out + other.out};
  }
};

/// Writes packets down: appends to `out`.
class CaptureWriter {
 public:
  virtual ~CaptureWriter() = default;

  virtual void begin(std::string& out) = 0;
  /// The bytes of the record's packets may be changed.
  virtual void add(std::string& out, CaptureRecord& record) = 0;
  virtual void end(std::string& out, const CaptureCounts& written, const CaptureCounts& lost, Time begin, Time end) = 0;
};

std::unique_ptr<CaptureWriter> make_pcapng_capture(CaptureFrame frame);
std::unique_ptr<CaptureWriter> make_text_capture(CaptureFrame frame);

/// What became of the packet: "forward web/10.0.0.2:8080", "drop tcp_window: sequence or acknowledgement outside the
/// window".
std::string fate_of(const CaptureRecord& record);
/// What is to be known about a side beyond its bytes: ", 3 segments of 1448 bytes"; empty where there is nothing.
std::string notes_on(const CapturedSide& side, const std::vector<std::uint8_t>& bytes);

}  // namespace vipgate
