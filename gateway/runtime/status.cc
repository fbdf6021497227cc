#include "runtime/status.h"

#include <algorithm>

namespace vipgate {

bool is_served(const Vip& vip) {
  const auto is_up = [](const Backend& backend) { return backend.state != BackendState::down; };
  return std::any_of(vip.services.begin(), vip.services.end(), [&](const Service& service) {
    return std::any_of(service.backends.begin(), service.backends.end(), is_up);
  });
}

}  // namespace vipgate
