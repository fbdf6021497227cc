#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "vipgate/packet.h"

namespace vipgate {

/// A packet on its way to the worker that owns its flow: a copy, with the spare room that the engine wants.
class HandedPacket {
 public:
  explicit HandedPacket(const Packet& packet);

  Packet packet() { return {.bytes = {bytes_.get(), size_}, .virtio = virtio_, .fragment_size = fragment_size_}; }

 private:
  std::unique_ptr<std::uint8_t[]> bytes_;
  std::size_t size_;
  VirtioHeader virtio_;
  std::uint16_t fragment_size_;
};

/// Bounded queues between all pairs of workers. Each has one writer and one reader, so that no lock is needed and
/// packets of one flow keep their order.
class HandOff {
 public:
  /// Packets in flight from one worker to another. A worker that reads faster than
  /// the other one takes waits for it for a while (Worker).
  static constexpr std::size_t kCapacity = 512;

  explicit HandOff(std::size_t workers);
  ~HandOff();

  /// From worker `from`'s thread. False when the queue is full; the packet is lost then, as on any full queue.
  bool push(std::size_t from, std::size_t to, const Packet& packet);

  /// From worker `to`'s thread.
  std::unique_ptr<HandedPacket> pop(std::size_t from, std::size_t to);

  /// From worker `from`'s thread: whether so many packets can be pushed to each of the others.
  bool has_room(std::size_t from, std::size_t packets) const;

  std::size_t workers() const { return workers_; }

 private:
  struct Queue;

  Queue& queue(std::size_t from, std::size_t to) const { return *queues_[from * workers_ + to]; }

  std::size_t workers_;
  std::vector<std::unique_ptr<Queue>> queues_;
};

}  // namespace vipgate
