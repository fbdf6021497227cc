#include "device/tun_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace vipgate {
namespace {

/// A queue, and what has been written to it: packets, as with a TUN.
class TunWriterTest : public testing::TestWithParam<bool> {
 protected:
  TunWriterTest() : writer_(/*at_once=*/GetParam()) {
    std::array<int, 2> pair{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()), 0);
    queue_ = TunQueue(UniqueFd(pair[0]));
    far_ = UniqueFd(pair[1]);
  }

  /// The bytes of the text stay where they are; the virtio header tells the packet by its gso_size.
  void add(std::string& text, std::vector<std::string_view> rest = {}, std::uint16_t number = 0) {
    std::vector<std::span<const std::uint8_t>> parts;
    for (const std::string_view part : rest) {
      parts.emplace_back(reinterpret_cast<const std::uint8_t*>(part.data()), part.size());
    }
    const std::span bytes(reinterpret_cast<std::uint8_t*>(text.data()), text.size());
    writer_.add({.bytes = bytes, .virtio = {.gso_size = number}}, parts);
  }

  /// The next packet that was written, after the number in its virtio header; empty: there is none.
  std::string next() {
    std::array<char, 4096> bytes;
    const ssize_t size = ::recv(far_.get(), bytes.data(), bytes.size(), 0);
    if (size < static_cast<ssize_t>(sizeof(VirtioHeader))) return "";
    VirtioHeader virtio;
    std::memcpy(&virtio, bytes.data(), sizeof virtio);
    return std::to_string(virtio.gso_size) + std::string(bytes.data() + sizeof virtio, bytes.data() + size);
  }

  TunWriter writer_;
  TunQueue queue_{UniqueFd()};
  UniqueFd far_;
};

TEST_P(TunWriterTest, WritesPacketsInTheirOrder) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < TunWriter::kMaxPackets; ++i) texts.push_back(" packet " + std::to_string(i));
  for (int round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < texts.size(); ++i) add(texts[i], {}, static_cast<std::uint16_t>(i));
    const auto written = writer_.write(queue_);
    ASSERT_EQ(written.size(), texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(written[i].packets, 1U);
      EXPECT_EQ(written[i].result.status, IoStatus::ok);
      EXPECT_EQ(written[i].result.size, texts[i].size());
      EXPECT_EQ(next(), std::to_string(i) + texts[i]);
    }
    EXPECT_EQ(next(), "");
  }
  EXPECT_TRUE(writer_.write(queue_).empty());
}

TEST_P(TunWriterTest, WritesTheBytesOfSeveralAsOne) {
  std::string first = "a";
  std::string second = "b";
  add(first, {"bc", "", "d"}, 7);
  add(second, {"cd"}, 8);
  const auto written = writer_.write(queue_);
  ASSERT_EQ(written.size(), 2U);
  EXPECT_EQ(written[0].packets, 4U);
  EXPECT_EQ(written[0].result.size, 4U);
  EXPECT_EQ(written[1].packets, 2U);
  EXPECT_EQ(next(), "7abcd");
  EXPECT_EQ(next(), "8bcd");
}

TEST_P(TunWriterTest, TellsWhatThereWasNoRoomFor) {
  std::string text(1000, 'x');
  std::size_t sent = 0;
  std::size_t refused = 0;
  while (refused == 0) {
    for (std::size_t i = 0; i < TunWriter::kMaxPackets; ++i) add(text);
    for (const TunWriter::Written& written : writer_.write(queue_)) {
      (written.result.status == IoStatus::ok ? sent : refused) += 1;
      EXPECT_THAT(written.result.status, testing::AnyOf(IoStatus::ok, IoStatus::again));
    }
  }
  for (std::size_t i = 0; i < sent; ++i) EXPECT_EQ(next(), "0" + text);
  EXPECT_EQ(next(), "");
  add(text);
  EXPECT_EQ(writer_.write(queue_)[0].result.status, IoStatus::ok);
}

TEST_P(TunWriterTest, TellsOfEachWhatWasWrong) {
  std::string text = "text";
  add(text);
  add(text);
  TunQueue nothing{UniqueFd()};
  for (const TunWriter::Written& written : writer_.write(nothing)) {
    EXPECT_EQ(written.result.status, IoStatus::error);
    EXPECT_EQ(written.result.error, EBADF);
  }
  EXPECT_EQ(next(), "");
}

INSTANTIATE_TEST_SUITE_P(AtOnceAndOneByOne, TunWriterTest, testing::Bool());

TEST(TunWriterWithoutIoUring, WorksAllTheSame) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const absl::Status status = TunWriter::check();
  TunWriter writer;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_FALSE(status.ok());
  TunQueue queue{UniqueFd(pair[0])};
  const UniqueFd far(pair[1]);
  std::vector<std::uint8_t> bytes(10);
  writer.add({.bytes = bytes}, {});
  writer.add({.bytes = bytes}, {});
  for (const TunWriter::Written& written : writer.write(queue)) EXPECT_EQ(written.result.status, IoStatus::ok);
}

}  // namespace
}  // namespace vipgate
