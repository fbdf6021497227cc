#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vipgate/packet.h"
#include "vipgate/time.h"
#include "vipgate/verdict.h"

namespace vipgate {

/// One side of a packet: as it came, or as it left.
struct CapturedSide {
  std::uint32_t captured = 0;       ///< bytes of it that were kept
  std::uint32_t original = 0;       ///< bytes that it had; 0: there is no such side
  VirtioHeader virtio{};            ///< of a partial checksum, and of a super-packet
  std::uint16_t fragment_size = 0;  ///< as Packet's

  bool is_there() const { return original > 0; }
};

/// What became of a packet. What bytes do not tell, in a form that can be copied as bytes.
struct CaptureHeader {
  Time time{};
  Verdict verdict{};
  CapturedSide in{};
  CapturedSide out{};
  bool own = false;  ///< the gateway sent it of its own accord; else it came, or a part of it did
  std::uint8_t service_size = 0;
  std::uint8_t backend_size = 0;
};

struct CaptureRecord {
  CaptureHeader header;
  std::string service;  ///< name; empty: none
  std::string backend;
  std::vector<std::uint8_t> in;
  std::vector<std::uint8_t> out;
  std::size_t worker = 0;  ///< whose; set by the reader
};

/// Packets on their way from a worker to whoever writes them down. Bounded; one writer and one reader, which need no
/// lock and never wait for each other.
class CaptureRing {
 public:
  explicit CaptureRing(std::size_t bytes);
  ~CaptureRing();

  /// From the worker's thread. False: there is no room for it. Names are cut off after 255 bytes. The sizes of `in` and
  /// `out` are those that the header has.
  bool push(CaptureHeader header, std::string_view service, std::string_view backend, std::span<const std::uint8_t> in,
            std::span<const std::uint8_t> out);

  /// From the reader's thread: the oldest record, which take() removes; nullptr where there is none.
  const CaptureRecord* front();
  CaptureRecord& take();

 private:
  struct Queue;

  void pop(void* to, std::size_t size);

  std::unique_ptr<Queue> queue_;
  CaptureRecord record_;
  bool has_header_ = false;  ///< the record's header was read, the rest is not there yet
  bool has_record_ = false;
};

}  // namespace vipgate
