#include "runtime/hand_off.h"

#include <cstring>

#include <boost/lockfree/spsc_queue.hpp>

namespace vipgate {

HandedPacket::HandedPacket(const Packet& packet)
    : bytes_(new std::uint8_t[packet.bytes.size() + kSpareRoom]),
      size_(packet.bytes.size()),
      virtio_(packet.virtio),
      fragment_size_(packet.fragment_size) {
  std::memcpy(bytes_.get(), packet.bytes.data(), size_);
}

struct HandOff::Queue {
  boost::lockfree::spsc_queue<HandedPacket*, boost::lockfree::capacity<kCapacity>> packets;

  ~Queue() {
    packets.consume_all([](HandedPacket* packet) { delete packet; });
  }
};

HandOff::HandOff(std::size_t workers) : workers_(workers) {
  for (std::size_t i = 0; i < workers * workers; ++i) queues_.push_back(std::make_unique<Queue>());
}

HandOff::~HandOff() = default;

bool HandOff::push(std::size_t from, std::size_t to, const Packet& packet) {
  auto copy = std::make_unique<HandedPacket>(packet);
  if (!queue(from, to).packets.push(copy.get())) return false;
  copy.release();
  return true;
}

bool HandOff::has_room(std::size_t from, std::size_t packets) const {
  for (std::size_t to = 0; to < workers_; ++to) {
    if (queue(from, to).packets.write_available() < packets) return false;
  }
  return true;
}

std::unique_ptr<HandedPacket> HandOff::pop(std::size_t from, std::size_t to) {
  HandedPacket* packet = nullptr;
  if (!queue(from, to).packets.pop(packet)) return nullptr;
  return std::unique_ptr<HandedPacket>(packet);
}

}  // namespace vipgate
