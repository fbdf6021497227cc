#include "wire/tcp.h"

#include <algorithm>

namespace vipgate {
namespace {

// Option kinds, IANA "TCP Option Kind Numbers".
constexpr std::uint8_t kEndOfList = 0;
constexpr std::uint8_t kNoOperation = 1;
constexpr std::uint8_t kWindowScale = 3;
constexpr std::uint8_t kSackPermitted = 4;
constexpr std::uint8_t kSack = 5;
constexpr std::uint8_t kTimestamps = 8;

/// Sequence space comparison, RFC 9293 §3.4.
bool is_after(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b) > 0;
}

void read_sack(std::span<const std::uint8_t> blocks, TcpOptions& options) {
  for (; blocks.size() >= 8; blocks = blocks.subspan(8)) {
    const std::uint32_t right = load32(blocks.data() + 4);
    if (!options.sack_high || is_after(right, *options.sack_high)) options.sack_high = right;
  }
}

}  // namespace

Parsed<TcpView> TcpView::parse(std::span<const std::uint8_t> segment) {
  if (segment.size() < tcp::kMinHeader) return Reason::tcp_truncated;
  const std::size_t header = std::size_t{4} * (segment[tcp::kDataOffset] >> 4);
  if (header < tcp::kMinHeader || header > segment.size()) return Reason::tcp_data_offset;
  TcpView view;
  view.at_ = segment.data();
  view.header_length_ = static_cast<std::uint16_t>(header);
  view.payload_length_ = static_cast<std::uint16_t>(segment.size() - header);
  return view;
}

TcpOptions TcpView::options() const {
  TcpOptions options;
  std::span<const std::uint8_t> left = option_bytes();
  while (!left.empty() && left[0] != kEndOfList) {
    if (left[0] == kNoOperation) {
      left = left.subspan(1);
      continue;
    }
    if (left.size() < 2 || left[1] < 2 || left[1] > left.size()) break;
    const std::span<const std::uint8_t> value = left.subspan(2, left[1] - std::size_t{2});
    switch (left[0]) {
      case kWindowScale:
        if (value.size() == 1) options.window_scale = std::min(value[0], tcp::kMaxWindowScale);
        break;
      case kSackPermitted:
        if (value.empty()) options.sack_permitted = true;
        break;
      case kSack:
        read_sack(value, options);
        break;
      case kTimestamps:
        if (value.size() == 8) options.timestamp = load32(value.data());
        break;
      default:
        break;
    }
    left = left.subspan(left[1]);
  }
  return options;
}

bool tcp_flags_are_valid(std::uint8_t flags) {
  using namespace tcp;
  switch (flags & ~(kPsh | kEce | kCwr)) {
    case kSyn:
    case kSyn | kUrg:
    case kSyn | kAck:
    case kRst:
    case kRst | kAck:
    case kFin | kAck:
    case kFin | kAck | kUrg:
    case kAck:
    case kAck | kUrg:
      return true;
    default:
      return false;
  }
}

const char* tcp::flag_letters(std::uint8_t flags, char (&buffer)[9]) {
  static constexpr struct {
    std::uint8_t flag;
    char letter;
  } kLetters[] = {{kSyn, 'S'}, {kFin, 'F'}, {kRst, 'R'}, {kPsh, 'P'},
                  {kAck, 'A'}, {kUrg, 'U'}, {kEce, 'E'}, {kCwr, 'C'}};
  char* out = buffer;
  for (const auto& [flag, letter] : kLetters) {
    if ((flags & flag) != 0) *out++ = letter;
  }
  if (out == buffer) *out++ = '.';
  *out = 0;
  return buffer;
}

}  // namespace vipgate
