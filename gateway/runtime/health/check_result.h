#pragma once

#include <cstdint>
#include <string>

namespace vipgate {

enum class CheckVerdict : std::uint8_t {
  passed,
  failed,
  unknown,  ///< could not be made, for want of descriptors and the like: says nothing about the backend
};

struct CheckResult {
  CheckVerdict verdict = CheckVerdict::unknown;
  std::string reason;  ///< "connection refused", "HTTP status 200"
};

}  // namespace vipgate
