#pragma once

#include <cstdint>
#include <vector>

#include "vipgate/packet.h"

namespace vipgate {

/// Keeps the packets that an engine sends.
class Collector final : public PacketSink {
 public:
  explicit Collector(std::vector<std::vector<std::uint8_t>>& out) : out_(out) {}
  void send(const Packet& packet) override { out_.emplace_back(packet.bytes.begin(), packet.bytes.end()); }

 private:
  std::vector<std::vector<std::uint8_t>>& out_;
};

}  // namespace vipgate
