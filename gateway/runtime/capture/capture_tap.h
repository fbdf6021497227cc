#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/capture/capture_filter.h"
#include "runtime/capture/capture_ring.h"
#include "vipgate/engine.h"

namespace vipgate {

/// Captures at a time.
inline constexpr std::size_t kMaxCaptures = 4;

/// What one capture takes from one worker. A packet is rewritten in place: it is copied as it came, and copied again as
/// it leaves, when what became of it is known. Nothing here waits, allocates or locks: where the reader is behind,
/// packets are lost to the capture, and counted.
class CaptureTap {
 public:
  /// `snaplen`: bytes that are kept of each side of a packet, at most. `room`: bytes for packets that nobody has read.
  CaptureTap(CaptureFilter filter, std::size_t snaplen, std::size_t room);

  // From the worker's thread, for each batch. `answered` is the place in the batch of a packet.
  void before(std::span<const Packet> packets, bool handed_over, Time now);
  /// The engine sends a packet while it decides about another.
  void answer(const Packet& packet, std::size_t answered);
  /// The engine sends a packet of its own accord.
  void own(const Packet& packet, Time now);
  void after(std::span<const Packet> packets, std::span<const Verdict> verdicts, const Ruleset& ruleset);

  void set_open() { open_.store(true, std::memory_order_release); }
  void set_closed() { closed_.store(true, std::memory_order_release); }

  // From any thread.
  /// Whether the worker knows of it.
  bool is_open() const { return open_.load(std::memory_order_acquire); }
  /// Whether the worker has let go of it: nothing more comes.
  bool is_closed() const { return closed_.load(std::memory_order_acquire); }
  /// Packets that did not get into the ring, and their sides in and out.
  struct Lost {
    std::uint64_t packets = 0;
    std::uint64_t in = 0;
    std::uint64_t out = 0;
  };
  Lost lost() const;

  /// For the one who reads.
  CaptureRing& ring() { return ring_; }

 private:
  /// A packet of the batch.
  struct Seen {
    bool wanted = false;
    bool was_joined = false;  ///< it is a datagram, put together from fragments that were seen already
    CapturedSide in;
    std::span<const std::uint8_t> in_bytes;
    CapturedSide answer;
    std::span<const std::uint8_t> answer_bytes;
    std::uint8_t protocol = 0;
    std::optional<PacketEndpoints> ends;
  };
  /// An answer that went in fragments: those after the first.
  struct Fragment {
    std::size_t answered = 0;
    CapturedSide side;
    std::span<const std::uint8_t> bytes;
  };
  static constexpr std::size_t kMaxFragments = 64;  ///< of a batch; the largest answer has some 45 in an Ethernet
  struct Names {
    std::string_view service;
    std::string_view backend;
  };

  bool has_room(const CapturedSide& side) const { return room_ - used_ >= side.captured; }
  CapturedSide side_of(const Packet& packet) const;
  std::span<const std::uint8_t> keep(const Packet& packet, const CapturedSide& side);
  static Names names_of(const Verdict& verdict, const Seen& seen, const Ruleset& ruleset);
  void lose(const CaptureHeader& header);
  void push(const CaptureHeader& header, const Names& names, std::span<const std::uint8_t> in,
            std::span<const std::uint8_t> out);

  CaptureFilter filter_;
  std::size_t snaplen_;
  bool handed_over_ = false;
  Time now_{};
  std::array<Seen, Engine::kMaxBatch> seen_;
  std::array<Fragment, kMaxFragments> fragments_;
  std::size_t fragment_count_ = 0;
  std::size_t room_;                        ///< bytes of `copies_`
  std::unique_ptr<std::uint8_t[]> copies_;  ///< of what came, and of answers, of a batch; untouched until they are used
  std::size_t used_ = 0;
  CaptureRing ring_;
  std::atomic<bool> open_ = false;
  std::atomic<bool> closed_ = false;
  std::atomic<std::uint64_t> lost_packets_ = 0;  ///< each has one writer
  std::atomic<std::uint64_t> lost_in_ = 0;
  std::atomic<std::uint64_t> lost_out_ = 0;
};

/// All captures that a worker has to serve. While there is none, its packets cost one look at any(). From the worker's
/// thread.
class CaptureTaps final : private PacketSink {
 public:
  bool any() const { return !taps_.empty(); }

  /// No more than kMaxCaptures at a time; further ones are not served.
  void add(std::shared_ptr<CaptureTap> tap);
  void remove(const CaptureTap* tap);

  /// Around Engine::process(): before() and after(), where there is any; `sink` is where its answers go.
  void before(const Engine& engine, std::span<const Packet> packets, bool handed_over, Time now);
  void after(std::span<const Packet> packets, std::span<const Verdict> verdicts, const Ruleset& ruleset);
  /// Before Engine::run().
  void before_run(Time now);
  /// What the engine is given in place of `sink`: that itself, where there is no capture.
  PacketSink& over(PacketSink& sink);

 private:
  void send(const Packet& packet) override;

  std::vector<std::shared_ptr<CaptureTap>> taps_;
  const Engine* engine_ = nullptr;  ///< it decides about a batch
  Time now_{};
  PacketSink* sink_ = nullptr;
};

}  // namespace vipgate
