#include "runtime/capture/capture_format.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace vipgate {
namespace {

std::size_t segments_of(const CapturedSide& side) {
  // What a hint says of the headers is near enough: TUN and kernel set it to what they are.
  const std::size_t payload = side.original - std::min<std::size_t>(side.original, side.virtio.header_length);
  return side.virtio.gso_size == 0 ? 1 : (payload + side.virtio.gso_size - 1) / side.virtio.gso_size;
}

}  // namespace

std::string fate_of(const CaptureRecord& record) {
  const CaptureHeader& header = record.header;
  if (header.own) return "sent by the gateway itself";
  std::string fate(name_of(header.verdict.action));
  if (!record.service.empty()) absl::StrAppend(&fate, " ", record.service);
  if (!record.backend.empty()) absl::StrAppend(&fate, "/", record.backend);
  if (header.verdict.reason != Reason::none) {
    absl::StrAppend(&fate, " ", std::string(name_of(header.verdict.reason)), ": ",
                    std::string(describe(header.verdict.reason)));
  }
  return fate;
}

std::string notes_on(const CapturedSide& side, const std::vector<std::uint8_t>& bytes) {
  std::string notes;
  if (side.virtio.gso_type != VirtioHeader::kGsoNone) {
    absl::StrAppend(&notes, ", super-packet of ", segments_of(side), " segments of ", side.virtio.gso_size, " bytes");
  }
  if (side.fragment_size != 0) absl::StrAppend(&notes, ", in fragments of at most ", side.fragment_size, " bytes");
  const bool is_partial = (side.virtio.flags & VirtioHeader::kNeedsChecksum) != 0;
  if (is_partial && bytes.size() < side.original) absl::StrAppend(&notes, ", checksum left to the device");
  return notes;
}

}  // namespace vipgate
