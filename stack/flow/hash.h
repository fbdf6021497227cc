#pragma once

#include <cstdint>

#include "flow/tuple.h"

namespace vipgate {

/// Keyed hashes, so that nobody outside can choose packets that meet in one bucket, shard or source port.
class KeyedHash {
 public:
  explicit KeyedHash(std::uint64_t seed)
      : first_(mix(seed ^ 0x9e3779b97f4a7c15, 0xd1b54a32d192ed03)), second_(mix(seed ^ 0x8cb92ba72f3d8dd7, first_)) {}

  std::uint64_t operator()(std::uint64_t a, std::uint64_t b = 0) const { return mix(a ^ first_, b ^ second_); }

  std::uint64_t operator()(Protocol protocol, const Tuple& tuple) const {
    const std::uint64_t addresses = std::uint64_t{tuple.source.value()} << 32 | tuple.destination.value();
    const std::uint64_t ports = std::uint64_t{tuple.source_port} << 24 | std::uint64_t{tuple.destination_port} << 8;
    return (*this)(addresses, ports | static_cast<std::uint64_t>(protocol));
  }

  std::uint64_t operator()(const Endpoint& endpoint) const {
    return (*this)(std::uint64_t{endpoint.address.value()} << 16 | endpoint.port);
  }

  /// Both halves of the product, folded.
  static std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = Wide{a} * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }

  std::uint64_t first_key() const { return first_; }
  std::uint64_t second_key() const { return second_; }

 private:
  /// Twice: one round would leave the lowest bits of small operands almost as they are.
  static std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
    return fold(fold(a, b) + 0xa0761d6478bd642f, 0xe7037ed1a0b428db);
  }

  std::uint64_t first_;
  std::uint64_t second_;
};

}  // namespace vipgate
