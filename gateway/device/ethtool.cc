#include "device/ethtool.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "device/unique_fd.h"

namespace vipgate {

std::optional<bool> merges_packets(const std::string& device) {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ethtool_value value{};
  value.cmd = ETHTOOL_GGRO;
  ifreq request{};
  std::memcpy(request.ifr_name, device.data(), std::min(device.size(), sizeof(request.ifr_name) - 1));
  request.ifr_data = reinterpret_cast<char*>(&value);
  if (!socket || ::ioctl(socket.get(), SIOCETHTOOL, &request) != 0) return std::nullopt;
  return value.data != 0;
}

}  // namespace vipgate
