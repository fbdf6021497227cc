#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/flow_storage.h"
#include "support/packet_builder.h"
#include "vipgate/engine.h"

namespace vipgate::bench {

/// Room for a call's packets, and what the engine says of them. All are TCP segments without data, and a virtio header
/// vouches for their transport checksum.
class Batch {
 public:
  Batch();

  /// Puts a packet in, made from one that differs in nothing but addresses and ports.
  void set(std::size_t place, std::span<const std::uint8_t> like, const Endpoint& from, const Endpoint& to);

  /// Returns how many were forwarded.
  std::size_t process(Engine& engine);

 private:
  class Nowhere final : public PacketSink {
   public:
    void send(const Packet& /*packet*/) override {}
  };
  struct alignas(64) Room : std::array<std::uint8_t, 64 + kSpareRoom> {};

  std::array<Room, Engine::kMaxBatch> memory_{};
  std::array<Packet, Engine::kMaxBatch> packets_;
  std::array<Verdict, Engine::kMaxBatch> verdicts_;
  Nowhere nowhere_;
};

/// An engine of one worker in the memory that the gateway uses, and the packets of numbered connections to its VIP.
class Connections {
 public:
  /// With room for a number of flows, and a service for them.
  Connections(std::size_t flows, SourceMode source, std::size_t backends);

  // Into a place of the batch. The last two are of set-up connections to the only backend, which sees its clients.
  void syn(std::size_t place, std::size_t connection);
  void ack(std::size_t place, std::size_t connection);
  void answer(std::size_t place, std::size_t connection);

  /// Has the engine decide about a full batch. Returns how many were forwarded.
  std::size_t process() { return batch_.process(engine_); }

  /// Sets up so many connections, a multiple of Engine::kMaxBatch, from the first on. Returns how many there are.
  std::size_t fill(std::size_t connections);

 private:
  void syn_ack(std::size_t place, std::size_t connection);

  FlowStorage storage_;
  Engine engine_;
  Batch batch_;
  test::WirePacket syn_;
  test::WirePacket syn_ack_;
  test::WirePacket ack_;
  test::WirePacket answer_;
};

}  // namespace vipgate::bench
