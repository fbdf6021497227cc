#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/numbers.h"
#include "vipgate/address.h"
#include "vipgate/rules.h"

namespace vipgate::control {

inline const char* name_of(Protocol protocol) {
  return protocol == Protocol::tcp ? "tcp" : protocol == Protocol::udp ? "udp" : "icmp";
}

/// Takes one of the parameters over that all filters have: address, port, protocol, service, backend. Whether it is
/// understood; nullopt: it is another one.
template <typename Filter>
std::optional<bool> take_filter(const std::string& name, const std::string& value, Filter& filter) {
  if (name == "address") {
    filter.address = Ipv4Prefix::parse(value);
    return filter.address.has_value();
  }
  if (name == "port") {
    std::uint32_t number = 0;
    if (!absl::SimpleAtoi(value, &number) || number > 0xffff) return false;
    filter.port = static_cast<std::uint16_t>(number);
    return true;
  }
  if (name == "protocol") {
    for (const Protocol protocol : {Protocol::tcp, Protocol::udp, Protocol::icmp}) {
      if (value == name_of(protocol)) filter.protocol = protocol;
    }
    return filter.protocol.has_value();
  }
  if (name != "service" && name != "backend") return std::nullopt;
  (name == "service" ? filter.service : filter.backend) = value;
  return !value.empty();
}

}  // namespace vipgate::control
