#pragma once

#include <cstdint>

namespace vipgate {

/// One of those among whom new flows are shared out: a number that names it wherever and whenever this is done, and its
/// share.
struct BalanceEntry {
  std::uint64_t key = 0;
  std::uint32_t weight = 1;  ///< 0: takes no new flow

  bool operator==(const BalanceEntry&) const = default;
};

}  // namespace vipgate
