#include <algorithm>

#include "runtime/kernel_plan.h"

namespace vipgate {

std::vector<Ipv4Prefix> aggregate(std::vector<Ipv4Prefix> prefixes) {
  std::sort(prefixes.begin(), prefixes.end());  // by address, the wider first
  std::vector<Ipv4Prefix> result;
  for (const Ipv4Prefix prefix : prefixes) {
    if (!result.empty() && result.back().contains(prefix)) continue;
    result.push_back(prefix);
    while (result.size() >= 2) {  // two halves become their whole, which may be a half itself
      const Ipv4Prefix upper = result.back();
      const Ipv4Prefix lower = result[result.size() - 2];
      if (upper.length() == 0 || lower.length() != upper.length()) break;
      const Ipv4Prefix whole(lower.address(), lower.length() - 1);
      if (!whole.contains(upper)) break;
      result.pop_back();
      result.back() = whole;
    }
  }
  return result;
}

}  // namespace vipgate
