#include "device/pcapng_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "device/pcap_file.h"
#include "support/temporary_folder.h"

namespace vipgate {
namespace {

using Bytes = std::vector<std::uint8_t>;

const Bytes kIp = {0x45, 0, 0, 23, 1, 2, 3, 4, 64, 17, 0, 0, 198, 51, 100, 7, 203, 0, 113, 10, 1, 2, 3};

constexpr Time kTime{std::chrono::seconds(1'800'000'000) + std::chrono::nanoseconds(123'456'789)};

std::uint32_t word_at(const std::string& file, std::size_t at) {
  std::uint32_t word = 0;
  std::memcpy(&word, file.data() + at, sizeof word);
  return word;
}

/// The types of a file's blocks; checks that each ends with the length it begins with.
std::vector<std::uint32_t> block_types(const std::string& file) {
  std::vector<std::uint32_t> types;
  for (std::size_t at = 0; at < file.size();) {
    const std::uint32_t length = word_at(file, at + 4);
    EXPECT_EQ(length % 4, 0U);
    EXPECT_LE(at + length, file.size());
    EXPECT_EQ(word_at(file, at + length - 4), length);
    types.push_back(word_at(file, at));
    at += length;
  }
  return types;
}

std::string two_sides(std::span<const std::uint8_t> bytes, std::size_t original_size, const std::string& comment) {
  std::string file;
  pcapng::add_section(file, {.application = "test", .comment = "three"});
  pcapng::add_interface(file, {.name = "tun0 in", .description = "came", .filter = "port 80", .snaplen = 65535});
  pcapng::add_interface(file, {.name = "tun0 out", .description = "left", .filter = {}, .snaplen = 65535});
  for (std::uint32_t side : {0U, 1U}) {
    pcapng::add_packet(file, {.interface = side,
                              .time = kTime,
                              .bytes = bytes,
                              .original_size = original_size,
                              .direction = side == 0 ? pcapng::Direction::inbound : pcapng::Direction::outbound,
                              .id = 7,
                              .comment = comment});
  }
  pcapng::add_statistics(file, {.interface = 0, .begin = kTime, .end = kTime, .received = 5, .dropped = 2});
  return file;
}

TEST(PcapngWriter, BlocksAreWholeWhateverTheirLength) {
  for (std::size_t size = 0; size < 8; ++size) {
    const std::string file = two_sides(std::span(kIp).first(20 + size % 4), 23, std::string(size, 'c'));
    EXPECT_EQ(block_types(file), (std::vector<std::uint32_t>{0x0a0d0d0a, 1, 1, 6, 6, 5})) << size;
  }
}

TEST(PcapngWriter, LibpcapReadsIt) {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/two.pcapng";
  std::ofstream(path, std::ios::binary) << two_sides(kIp, 40, "forward");
  auto reader = PcapReader::open(path);
  ASSERT_TRUE(reader.ok()) << reader.status();
  for (int side = 0; side < 2; ++side) {
    const auto packet = reader->next();
    ASSERT_TRUE(packet.ok() && packet->has_value()) << packet.status();
    EXPECT_EQ((*packet)->time, kTime);
    EXPECT_TRUE(std::ranges::equal((*packet)->ip, kIp));
    EXPECT_EQ((*packet)->original_size, 40U);
  }
  const auto end = reader->next();
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_FALSE(end->has_value());
}

TEST(PcapngWriter, ALongCommentIsCutOff) {
  const std::string file = two_sides(kIp, 23, std::string(100'000, 'c'));
  EXPECT_EQ(block_types(file).size(), 6U);
  EXPECT_LT(file.size(), 2 * 65'535U + 1000);
}

}  // namespace
}  // namespace vipgate
