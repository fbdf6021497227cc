#include "runtime/hand_off.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "support/packet_builder.h"

namespace vipgate {
namespace {

using test::udp;
using test::WirePacket;

TEST(HandOff, ThePacketArrivesAsACopyWithSpareRoom) {
  HandOff hand_off(2);
  WirePacket sent = udp("198.51.100.7:1", "203.0.113.10:53").payload_of(700).partial_checksum().build();
  ASSERT_TRUE(hand_off.push(0, 1, sent.packet()));
  const auto got = hand_off.pop(0, 1);
  ASSERT_NE(got, nullptr);
  const Packet packet = got->packet();
  EXPECT_TRUE(std::ranges::equal(packet.bytes, sent.bytes()));
  EXPECT_EQ(packet.virtio.flags, sent.virtio().flags);
  packet.bytes.data()[packet.bytes.size() + kSpareRoom - 1] = 1;  // a sanitizer would object
  EXPECT_EQ(hand_off.pop(0, 1), nullptr);
}

TEST(HandOff, PairsOfWorkersDoNotMeet) {
  HandOff hand_off(3);
  WirePacket sent = udp("198.51.100.7:1", "203.0.113.10:53").build();
  ASSERT_TRUE(hand_off.push(0, 1, sent.packet()));
  EXPECT_EQ(hand_off.pop(1, 0), nullptr);
  EXPECT_EQ(hand_off.pop(2, 1), nullptr);
  EXPECT_NE(hand_off.pop(0, 1), nullptr);
}

TEST(HandOff, AFullQueueRefusesAndLosesNothingElse) {
  HandOff hand_off(2);
  WirePacket sent = udp("198.51.100.7:1", "203.0.113.10:53").build();
  std::size_t taken = 0;
  while (hand_off.push(0, 1, sent.packet())) ++taken;
  EXPECT_EQ(taken, HandOff::kCapacity);
  std::size_t arrived = 0;
  while (hand_off.pop(0, 1) != nullptr) ++arrived;
  EXPECT_EQ(arrived, taken);
  EXPECT_TRUE(hand_off.push(0, 1, sent.packet()));  // what is left in a queue is freed with it
}

TEST(HandOff, OrderIsKeptAcrossThreads) {
  constexpr std::uint32_t kPackets = 100000;
  HandOff hand_off(2);
  std::thread writer([&hand_off] {
    WirePacket sent = udp("198.51.100.7:1", "203.0.113.10:53").payload_of(4).build();
    for (std::uint32_t n = 0; n < kPackets;) {
      std::copy_n(reinterpret_cast<const std::uint8_t*>(&n), sizeof n, sent.bytes().end() - 4);
      if (hand_off.push(0, 1, sent.packet())) ++n;
    }
  });
  std::uint32_t expected = 0;
  while (expected < kPackets) {
    const auto got = hand_off.pop(0, 1);
    if (got == nullptr) continue;
    std::uint32_t n = 0;
    std::copy_n(got->packet().bytes.end() - 4, sizeof n, reinterpret_cast<std::uint8_t*>(&n));
    if (n != expected) break;
    ++expected;
  }
  EXPECT_EQ(expected, kPackets);
  writer.join();
}

}  // namespace
}  // namespace vipgate
