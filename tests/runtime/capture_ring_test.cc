#include "runtime/capture/capture_ring.h"

#include <gtest/gtest.h>

#include <thread>

namespace vipgate {
namespace {

using Bytes = std::vector<std::uint8_t>;

CaptureHeader header_of(const Bytes& in, const Bytes& out) {
  CaptureHeader header;
  header.in = {.captured = static_cast<std::uint32_t>(in.size()), .original = static_cast<std::uint32_t>(in.size())};
  header.out = {.captured = static_cast<std::uint32_t>(out.size()), .original = static_cast<std::uint32_t>(out.size())};
  return header;
}

bool push(CaptureRing& ring, const Bytes& in, const Bytes& out, std::string_view service = "web") {
  return ring.push(header_of(in, out), service, "10.0.0.2:8080", in, out);
}

TEST(CaptureRing, GivesBackWhatItTook) {
  CaptureRing ring(4096);
  EXPECT_EQ(ring.front(), nullptr);
  ASSERT_TRUE(push(ring, {1, 2, 3}, {4}));
  ASSERT_TRUE(push(ring, {}, {5, 6}, ""));
  ASSERT_NE(ring.front(), nullptr);
  EXPECT_EQ(ring.front()->in, (Bytes{1, 2, 3})) << "and again";
  const CaptureRecord& first = ring.take();
  EXPECT_EQ(first.out, Bytes{4});
  EXPECT_EQ(first.service, "web");
  EXPECT_EQ(first.backend, "10.0.0.2:8080");
  ASSERT_NE(ring.front(), nullptr);
  EXPECT_EQ(ring.take().out, (Bytes{5, 6}));
  EXPECT_EQ(ring.front(), nullptr);
}

TEST(CaptureRing, WhatDoesNotFitIsRefusedWhole) {
  CaptureRing ring(1024);
  const Bytes half(400, 1);
  EXPECT_TRUE(push(ring, half, {}));
  EXPECT_FALSE(push(ring, half, half));
  EXPECT_TRUE(push(ring, Bytes(100, 2), {}));
  ASSERT_NE(ring.front(), nullptr);
  EXPECT_EQ(ring.take().in, half);
  ASSERT_NE(ring.front(), nullptr);
  EXPECT_EQ(ring.take().in, Bytes(100, 2));
  EXPECT_TRUE(push(ring, half, {})) << "there is room again";
}

TEST(CaptureRing, LongNamesAreCutOff) {
  CaptureRing ring(4096);
  ASSERT_TRUE(push(ring, {1}, {}, std::string(1000, 's')));
  ASSERT_NE(ring.front(), nullptr);
  EXPECT_EQ(ring.take().service, std::string(255, 's'));
}

TEST(CaptureRing, TwoThreads) {
  CaptureRing ring(10'000);
  constexpr std::uint32_t kRecords = 20'000;
  std::thread writer([&ring] {
    for (std::uint32_t i = 0; i < kRecords; ++i) {
      const Bytes bytes(i % 700, static_cast<std::uint8_t>(i));
      while (!push(ring, bytes, bytes)) std::this_thread::yield();
    }
  });
  for (std::uint32_t i = 0; i < kRecords; ++i) {
    while (ring.front() == nullptr) std::this_thread::yield();
    const CaptureRecord& record = ring.take();
    ASSERT_EQ(record.in, Bytes(i % 700, static_cast<std::uint8_t>(i)));
    ASSERT_EQ(record.out, record.in);
  }
  writer.join();
  EXPECT_EQ(ring.front(), nullptr);
}

}  // namespace
}  // namespace vipgate
