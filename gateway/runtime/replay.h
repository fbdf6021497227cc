#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "device/pcap_file.h"
#include "runtime/explain.h"
#include "runtime/flow_storage.h"
#include "vipgate/engine.h"

namespace vipgate {

/// What became of one packet of a capture.
struct ReplayedPacket {
  std::uint64_t number = 0;  ///< from 1
  Time time;
  bool is_ipv4 = true;
  bool own_output = false;  ///< a packet that the gateway itself has sent: not put through the engine
  Verdict verdict;
  std::string service;                         ///< name; empty where none is concerned
  std::string backend;                         ///< endpoint, as "10.0.0.2:8080"
  std::string in;                              ///< one line about it
  std::vector<std::vector<std::uint8_t>> out;  ///< packets that would have been sent
};

/// Counts that add up to the packets read.
struct ReplaySummary {
  std::uint64_t packets = 0;
  std::uint64_t not_ipv4 = 0;
  std::uint64_t own_output = 0;
  Counters engine;
};

/// Puts captured packets through an engine of its own, with the capture's clock.
class Replay {
 public:
  Replay(FlowStorage storage, Rules rules, std::uint32_t mtu, std::uint64_t seed);

  /// `own_output`: whether the gateway itself had sent the packet, where that is known; else the rules tell.
  ReplayedPacket process(const CapturedPacket& captured, std::optional<bool> own_output = {});
  /// In place of process(): what becomes of it, and why.
  Explanation explain(std::span<const std::uint8_t> ip, Time time) { return vipgate::explain(engine_, ip, mtu_, time); }
  ReplaySummary summary() const;

 private:
  bool is_own_output(std::span<const std::uint8_t> ip) const;
  std::string backend_of(const Verdict& verdict, std::span<const std::uint8_t> in,
                         std::span<const std::uint8_t> out) const;

  FlowStorage storage_;
  std::uint32_t mtu_;
  Engine engine_;
  std::vector<std::uint8_t> buffer_;
  ReplaySummary summary_;
};

}  // namespace vipgate
