#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "runtime/capture/capture_format.h"
#include "vipgate/inspect.h"

namespace vipgate {
namespace {

class TextCapture final : public CaptureWriter {
 public:
  explicit TextCapture(CaptureFrame frame) : frame_(std::move(frame)) {}

  void begin(std::string&) override {}

  void add(std::string& out, CaptureRecord& record) override {
    const CaptureHeader& header = record.header;
    const absl::Time time = absl::FromUnixNanos((header.time + frame_.since_1970).time_since_epoch().count());
    absl::StrAppend(&out, absl::FormatTime("%H:%M:%E6S", time, zone_));
    if (header.in.is_there()) absl::StrAppend(&out, " ", described(header.in, record.in));
    if (header.out.is_there()) absl::StrAppend(&out, " => ", described(header.out, record.out));
    absl::StrAppend(&out, "  ", fate_of(record), "\n");
  }

  void end(std::string&, const CaptureCounts&, const CaptureCounts&, Time, Time) override {}

 private:
  static std::string described(const CapturedSide& side, const std::vector<std::uint8_t>& bytes) {
    return absl::StrCat(describe(bytes), notes_on(side, bytes));
  }

  CaptureFrame frame_;
  absl::TimeZone zone_ = absl::LocalTimeZone();
};

}  // namespace

std::unique_ptr<CaptureWriter> make_text_capture(CaptureFrame frame) {
  return std::make_unique<TextCapture>(std::move(frame));
}

}  // namespace vipgate
