#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fuzz/gateway.h"
#include "fuzz/input.h"

namespace vipgate::fuzz {

/// What happens to a packet between its sender and the gateway.
class Transforms {
 public:
  /// Reads what is to happen to the next packet, on top of what is to happen already.
  void read(Input& input);

  /// The packets that become of this one; after it all is as if nothing had been read.
  std::vector<Datagram> apply(Datagram packet);

 private:
  struct Change {
    std::size_t offset;
    std::uint8_t value;
    bool mended;  ///< with checksums that are right again
  };

  std::vector<Datagram> cut(const Datagram& packet) const;

  std::vector<Change> changes_;
  bool partial_ = false;
  std::uint16_t gso_size_ = 0;
  std::vector<std::uint8_t> cuts_;  ///< sizes of fragments but the last, in 8 bytes; 0: 1,024
  std::uint8_t disorder_ = 0;
};

}  // namespace vipgate::fuzz
