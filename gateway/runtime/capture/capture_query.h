#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "runtime/capture/capture_filter.h"
#include "runtime/capture/capture_format.h"
#include "vipgate/packet.h"
#include "vipgate/time.h"

namespace vipgate {

/// What is asked for.
struct CaptureQuery {
  CaptureFilter filter;
  std::size_t snaplen = kMaxPacketSize;  ///< bytes of a packet that are kept; text needs them all
  std::optional<std::uint64_t> packets;  ///< it ends after so many
  std::optional<Duration> duration;      ///< or after this time
  CaptureFormat format = CaptureFormat::pcapng;
};

}  // namespace vipgate
