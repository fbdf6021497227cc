#include "runtime/flow_file_header.h"

#include <algorithm>
#include <cstring>

#include <boost/crc.hpp>

#include "absl/strings/str_cat.h"
#include "vipgate/engine.h"

namespace vipgate {
namespace {

constexpr std::array<char, 8> kMagic = {'v', 'i', 'p', 'f', 'l', 'o', 'w', 's'};

std::uint32_t checksum_of(const FlowFileHeader& header) {
  boost::crc_32_type sum;
  sum.process_bytes(&header, offsetof(FlowFileHeader, checksum));
  return sum.checksum();
}

std::array<char, 40> fixed(const std::string& boot_id) {
  std::array<char, 40> text{};
  std::copy_n(boot_id.begin(), std::min(boot_id.size(), text.size()), text.begin());
  return text;
}

}  // namespace

FlowFileHeader make_flow_file_header(std::size_t capacity, std::uint64_t seed, const std::string& boot_id) {
  FlowFileHeader header;
  header.magic = kMagic;
  header.layout = kFlowLayout;
  header.shards = kShards;
  header.capacity = capacity;
  header.record_bytes = flow_record_bytes(capacity);
  header.helper_bytes = helper_record_bytes(capacity);
  header.seed = seed;
  header.boot_id = fixed(boot_id);
  header.checksum = checksum_of(header);
  return header;
}

FlowFileHeader read_flow_file_header(std::span<const std::byte> beginning) {
  FlowFileHeader header;
  std::memcpy(&header, beginning.data(), sizeof(header));
  return header;
}

std::string objection_to(std::span<const std::byte> beginning, std::uint64_t file_bytes, const std::string& boot_id) {
  if (beginning.size() < FlowFileHeader::kSize) return "it is cut off within its header";
  const FlowFileHeader header = read_flow_file_header(beginning);
  if (header.magic != kMagic) return "it is no file of flows";
  // The layout comes first: another one may have another header.
  if (header.layout != kFlowLayout) {
    return absl::StrCat("it has layout ", header.layout, ", and this version knows ", kFlowLayout);
  }
  if (header.checksum != checksum_of(header)) return "its header is broken";
  const bool fits = header.shards == kShards && header.capacity >= kShards && header.capacity % kShards == 0 &&
                    header.record_bytes == flow_record_bytes(header.capacity) &&
                    header.helper_bytes == helper_record_bytes(header.capacity);
  if (!fits) return "its records have other sizes";
  if (file_bytes < header.file_bytes()) {
    return absl::StrCat("it is cut off: ", file_bytes, " of ", header.file_bytes(), " bytes");
  }
  if (header.boot_id != fixed(boot_id)) return "it is from before the last boot";
  return "";
}

}  // namespace vipgate
