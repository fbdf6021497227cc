#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace vipgate::fuzz {

/// A fuzzer's bytes, read from the front. Behind the end all is 0, so that every input means something.
class Input {
 public:
  explicit Input(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  bool empty() const { return bytes_.empty(); }

  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const std::uint8_t first = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return first;
  }
  std::uint16_t word() {
    const std::uint8_t high = byte();
    return static_cast<std::uint16_t>(high << 8 | byte());
  }

  /// One of so many.
  std::size_t below(std::size_t count) { return byte() % count; }
  template <typename Choices>
  decltype(auto) one_of(const Choices& choices) {
    return choices[below(std::size(choices))];
  }

  std::span<const std::uint8_t> take(std::size_t size) {
    const auto taken = bytes_.first(std::min(size, bytes_.size()));
    bytes_ = bytes_.subspan(taken.size());
    return taken;
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

}  // namespace vipgate::fuzz
