#pragma once

#include <cstddef>
#include <cstdint>

namespace vipgate {

/// How flows that are found in memory came there.
enum class Found : std::uint8_t {
  left,  ///< by a process that may have been killed while it wrote
  lent,  ///< by Engine::lend()
};

/// What was found in memory that an earlier process has used.
struct Adoption {
  std::size_t flows = 0;   ///< that go on
  std::size_t broken = 0;  ///< records that were no whole flow: they are gone, and the others stay

  void add(const Adoption& other);
};

}  // namespace vipgate
