#include "runtime/flow_file_header.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "vipgate/engine.h"

namespace vipgate::test {
namespace {

constexpr const char* kBoot = "d5c3b0a0-4b1e-4f4e-9a52-2f5f2d2f9a10";
constexpr std::size_t kCapacity = 1024;

std::vector<std::byte> page_of(const FlowFileHeader& header) {
  std::vector<std::byte> page(FlowFileHeader::kSize);
  std::memcpy(page.data(), &header, sizeof(header));
  return page;
}

std::string objection(const FlowFileHeader& header, const std::string& boot_id = kBoot) {
  return objection_to(page_of(header), header.file_bytes(), boot_id);
}

TEST(FlowFileHeader, SaysEverythingThatTheRecordsDependOn) {
  const FlowFileHeader header = make_flow_file_header(kCapacity, 77, kBoot);
  EXPECT_EQ(objection(header), "");
  const FlowFileHeader read = read_flow_file_header(page_of(header));
  EXPECT_EQ(read.capacity, kCapacity);
  EXPECT_EQ(read.seed, 77U);
  EXPECT_EQ(read.file_bytes(), 4096 + flow_record_bytes(kCapacity) + helper_record_bytes(kCapacity));
}

TEST(FlowFileHeader, Fault6_AnotherBootIsRefused) {
  EXPECT_EQ(objection(make_flow_file_header(kCapacity, 77, "another")), "it is from before the last boot");
  EXPECT_EQ(objection(make_flow_file_header(kCapacity, 77, kBoot), ""), "it is from before the last boot");
}

TEST(FlowFileHeader, Fault6_OtherSizesAreRefusedThoughTheHeaderIsWhole) {
  for (const std::size_t capacity : {std::size_t{0}, std::size_t{100}, std::size_t{kShards + 1}}) {
    EXPECT_EQ(objection(make_flow_file_header(capacity, 77, kBoot)), "its records have other sizes") << capacity;
  }
}

TEST(FlowFileHeader, Fault6_AFileThatIsShorterThanItSaysIsRefused) {
  const FlowFileHeader header = make_flow_file_header(kCapacity, 77, kBoot);
  const auto page = page_of(header);
  EXPECT_EQ(objection_to(page, header.file_bytes(), kBoot), "");
  EXPECT_NE(objection_to(page, header.file_bytes() - 1, kBoot), "");
  EXPECT_NE(objection_to(std::span(page).first(50), header.file_bytes(), kBoot), "");
}

TEST(FlowFileHeader, Fault6_EveryBitOfWhatWasWrittenOnceCounts) {
  const auto page = page_of(make_flow_file_header(kCapacity, 77, kBoot));
  const std::uint64_t size = make_flow_file_header(kCapacity, 77, kBoot).file_bytes();
  for (std::size_t bit = 0; bit < 8 * offsetof(FlowFileHeader, in_use); ++bit) {
    auto flipped = page;
    flipped[bit / 8] ^= std::byte{1} << static_cast<int>(bit % 8);
    EXPECT_NE(objection_to(flipped, size, kBoot), "") << bit;
  }
  FlowFileHeader used = make_flow_file_header(kCapacity, 77, kBoot);
  used.in_use = 1;
  used.starts = 12;
  EXPECT_EQ(objection(used), "") << "what changes while the file is in use is not sealed";
}

}  // namespace
}  // namespace vipgate::test
