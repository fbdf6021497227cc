#include "wire/tcp.h"

#include <algorithm>

namespace vipgate {
namespace {

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

TcpOptions TcpView::read_options() const {
  TcpOptions options;
  for_each_option([&](std::uint8_t kind, std::span<const std::uint8_t> value) {
    switch (kind) {
      case tcp::kWindowScale:
        if (value.size() == 1) options.window_scale = std::min(value[0], tcp::kMaxWindowScale);
        break;
      case tcp::kSackPermitted:
        if (value.empty()) options.sack_permitted = true;
        break;
      case tcp::kSack:
        read_sack(value, options);
        break;
      case tcp::kTimestamps:
        if (value.size() == 8) options.timestamp = load32(value.data());
        break;
      default:
        break;
    }
  });
  return options;
}

std::optional<std::size_t> TcpView::mss_offset() const {
  std::optional<std::size_t> offset;
  for_each_option([&](std::uint8_t kind, std::span<const std::uint8_t> value) {
    if (kind == tcp::kMaximumSegmentSize && value.size() == 2) offset = static_cast<std::size_t>(value.data() - at_);
  });
  return offset;
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
