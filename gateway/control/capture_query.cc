#include "control/capture_query.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "control/filter_parameters.h"

namespace vipgate::control {
namespace {

/// A header of IPv4 and one of TCP, without options: less tells nothing.
constexpr std::uint32_t kLeastSnaplen = 40;
constexpr double kMostSeconds = 1e6;

bool take_seconds(const std::string& value, CaptureQuery& query) {
  double seconds = 0;
  if (!absl::SimpleAtod(value, &seconds) || !(seconds > 0 && seconds <= kMostSeconds)) return false;
  query.duration = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  return true;
}

/// Takes one parameter over; false: it means nothing.
bool take(const std::string& name, const std::string& value, CaptureQuery& query) {
  if (const auto understood = take_filter(name, value, query.filter)) return *understood;
  if (name == "verdict") {
    query.filter.verdict = action_called(value);
    return query.filter.verdict.has_value();
  }
  if (name == "reason") {
    query.filter.reason = reason_called(value);
    return query.filter.reason.has_value();
  }
  if (name == "packets") {
    std::uint64_t number = 0;
    if (!absl::SimpleAtoi(value, &number) || number == 0) return false;
    query.packets = number;
    return true;
  }
  if (name == "seconds") return take_seconds(value, query);
  if (name == "snaplen") {
    std::uint32_t number = 0;
    if (!absl::SimpleAtoi(value, &number) || number < kLeastSnaplen) return false;
    query.snaplen = std::min<std::size_t>(number, kMaxPacketSize);
    return true;
  }
  if (name != "format") return false;
  query.format = value == "text" ? CaptureFormat::text : CaptureFormat::pcapng;
  return value == "text" || value == "pcapng";
}

}  // namespace

absl::StatusOr<CaptureQuery> capture_query(const std::map<std::string, std::string>& parameters) {
  CaptureQuery query;
  for (const auto& [name, value] : parameters) {
    if (take(name, value, query)) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", name, "=", value,
        "\" is not understood; there are address=10.0.0.0/8, port=80, protocol=tcp, service=web, backend=NAME, ",
        "verdict=forward, reply, hold, hand_off, pass or drop, reason= as `vipgate status --json` counts them, ",
        "packets=100, seconds=10, snaplen= bytes, ", kLeastSnaplen, " or more, and format=pcapng or text"));
  }
  if (query.format == CaptureFormat::text && query.snaplen < kMaxPacketSize) {
    return absl::InvalidArgumentError("snaplen= goes with format=pcapng: a line tells of whole packets");
  }
  return query;
}

}  // namespace vipgate::control
