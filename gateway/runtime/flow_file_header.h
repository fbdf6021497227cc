#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

namespace vipgate {

/// The first page of a file of flows; behind it come all records, and then all helpers (FlowMemory). In the byte order
/// of the machine, which the file never leaves.
struct FlowFileHeader {
  static constexpr std::size_t kSize = 4096;  ///< bytes that it takes up in the file

  // Written once, before the file has its name.
  std::array<char, 8> magic{};
  std::uint32_t layout = 0;  ///< kFlowLayout
  std::uint32_t shards = 0;
  std::uint64_t capacity = 0;      ///< flows
  std::uint64_t record_bytes = 0;  ///< of all records
  std::uint64_t helper_bytes = 0;  ///< of all helpers
  std::uint64_t seed = 0;
  std::array<char, 40> boot_id{};  ///< times of flows count from this boot
  std::uint32_t checksum = 0;      ///< CRC-32 of all before

  // Written while the file is in use, each in one store.
  std::uint32_t in_use = 0;  ///< 1 from the start of a process to its orderly end
  std::uint64_t starts = 0;  ///< processes that have used the file

  std::uint64_t file_bytes() const { return kSize + record_bytes + helper_bytes; }
};
static_assert(std::is_trivially_copyable_v<FlowFileHeader> && sizeof(FlowFileHeader) <= FlowFileHeader::kSize);
static_assert(std::has_unique_object_representations_v<FlowFileHeader>);

FlowFileHeader make_flow_file_header(std::size_t capacity, std::uint64_t seed, const std::string& boot_id);

/// Why this version cannot use a file that begins with these bytes; empty where it can.
std::string objection_to(std::span<const std::byte> beginning, std::uint64_t file_bytes, const std::string& boot_id);

/// Of a beginning that nothing is said against.
FlowFileHeader read_flow_file_header(std::span<const std::byte> beginning);

}  // namespace vipgate
