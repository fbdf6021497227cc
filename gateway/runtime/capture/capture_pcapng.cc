#include <utility>

#include "absl/strings/str_cat.h"
#include "device/pcapng_writer.h"
#include "runtime/capture/capture_format.h"
#include "vipgate/inspect.h"

namespace vipgate {
namespace {

constexpr std::uint32_t kIn = 0;
constexpr std::uint32_t kOut = 1;

class PcapngCapture final : public CaptureWriter {
 public:
  explicit PcapngCapture(CaptureFrame frame) : frame_(std::move(frame)) {}

  void begin(std::string& out) override {
    pcapng::add_section(out, {.application = "vipgate", .comment = {}});
    const auto add = [&](const char* side, const char* what) {
      pcapng::add_interface(out, {.name = absl::StrCat(frame_.device, " ", side),
                                  .description = what,
                                  .filter = frame_.filter,
                                  .snaplen = static_cast<std::uint32_t>(frame_.snaplen)});
    };
    add("in", "packets as they came");
    add("out", "packets as they left, and answers");
  }

  void add(std::string& out, CaptureRecord& record) override {
    ++id_;
    const std::string fate = fate_of(record);
    const std::string place = place_of(record);
    add_side(out, kIn, record, record.header.in, record.in, fate, place);
    add_side(out, kOut, record, record.header.out, record.out, fate, place);
  }

  void end(std::string& out, const CaptureCounts& written, const CaptureCounts& lost, Time begin, Time end) override {
    const CaptureCounts all = written + lost;
    const auto add = [&](std::uint32_t interface, std::uint64_t received, std::uint64_t dropped) {
      pcapng::add_statistics(out, {.interface = interface,
                                   .begin = begin + frame_.since_1970,
                                   .end = end + frame_.since_1970,
                                   .received = received,
                                   .dropped = dropped});
    };
    add(kIn, all.in, lost.in);
    add(kOut, all.out, lost.out);
  }

 private:
  std::string place_of(const CaptureRecord& record) const {
    std::string place;
    if (frame_.workers > 1) absl::StrAppend(&place, ", worker ", record.worker);
    // Of other verdicts it may not be known.
    const Action action = record.header.verdict.action;
    if (action == Action::forward || action == Action::hand_off || action == Action::hold) {
      absl::StrAppend(&place, ", shard ", record.header.verdict.shard);
    }
    return place;
  }

  void add_side(std::string& out, std::uint32_t interface, const CaptureRecord& record, const CapturedSide& side,
                std::vector<std::uint8_t>& bytes, const std::string& fate, const std::string& place) {
    if (!side.is_there()) return;
    finish_checksum(bytes, side.virtio);
    const std::string comment = absl::StrCat(fate, place, notes_on(side, bytes));
    pcapng::add_packet(out, {.interface = interface,
                             .time = record.header.time + frame_.since_1970,
                             .bytes = bytes,
                             .original_size = side.original,
                             .direction = interface == kIn ? pcapng::Direction::inbound : pcapng::Direction::outbound,
                             .id = id_,
                             .comment = comment});
  }

  CaptureFrame frame_;
  std::uint64_t id_ = 0;  ///< both sides of a packet have the same
};

}  // namespace

std::unique_ptr<CaptureWriter> make_pcapng_capture(CaptureFrame frame) {
  return std::make_unique<PcapngCapture>(std::move(frame));
}

}  // namespace vipgate
