#include "nat/prefix_set.h"

#include <algorithm>

namespace vipgate {

PrefixSet::PrefixSet(std::span<const Ipv4Prefix> prefixes) {
  std::vector<Ipv4Prefix> sorted(prefixes.begin(), prefixes.end());
  std::sort(sorted.begin(), sorted.end());
  for (const Ipv4Prefix& prefix : sorted) {
    // Two prefixes are disjoint, or one holds the other; the wider comes first.
    if (!ranges_.empty() && prefix.address() <= ranges_.back().last) continue;
    ranges_.push_back({prefix.address(), prefix.last()});
  }
}

bool PrefixSet::contains(Ipv4Address address) const {
  const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), address,
                                      [](Ipv4Address a, const Range& range) { return a < range.first; });
  return after != ranges_.begin() && address <= std::prev(after)->last;
}

}  // namespace vipgate
