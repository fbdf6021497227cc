#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>

#include "vipgate/packet.h"

namespace vipgate::test {

/// Bytes in memory of exactly their size, so that AddressSanitizer sees whoever reads behind them.
class ExactCopy {
 public:
  explicit ExactCopy(std::span<const std::uint8_t> bytes)
      : size_(bytes.size()), bytes_(std::make_unique<std::uint8_t[]>(bytes.size())) {
    std::copy(bytes.begin(), bytes.end(), bytes_.get());
  }

  std::span<std::uint8_t> bytes() const { return {bytes_.get(), size_}; }
  Packet packet(const VirtioHeader& virtio) const { return {.bytes = bytes(), .virtio = virtio}; }

 private:
  std::size_t size_;
  std::unique_ptr<std::uint8_t[]> bytes_;
};

}  // namespace vipgate::test
