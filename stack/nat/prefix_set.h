#pragma once

#include <span>
#include <vector>

#include "vipgate/address.h"

namespace vipgate {

/// Addresses of any number of prefixes, which may overlap. Asking costs a binary search.
class PrefixSet {
 public:
  PrefixSet() = default;
  explicit PrefixSet(std::span<const Ipv4Prefix> prefixes);

  bool contains(Ipv4Address address) const;

 private:
  struct Range {
    Ipv4Address first;
    Ipv4Address last;
  };
  std::vector<Range> ranges_;  ///< sorted, disjoint
};

}  // namespace vipgate
