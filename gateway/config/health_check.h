#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vipgate/time.h"

namespace vipgate {

enum class HealthType : std::uint8_t {
  none,  ///< nothing is sent
  tcp,   ///< a connection is opened, and closed
  http,  ///< a page is asked for
  ping,  ///< an ICMP echo
  exec,  ///< a program is run
};

struct HttpStatusRange {
  std::uint16_t first = 200;
  std::uint16_t last = 399;

  constexpr bool contains(unsigned status) const { return first <= status && status <= last; }
  auto operator<=>(const HttpStatusRange&) const = default;
};

/// How it is found out whether a service's backends are well.
struct HealthCheck {
  HealthType type = HealthType::none;
  /// A service without TCP has ICMP unreachable as a sign: `fall` of them, each within `interval` of the one before,
  /// take a backend down for a while. With HealthType::none.
  bool passive = false;
  Duration interval = std::chrono::seconds(2);  ///< from the begin of a check to that of the next
  Duration timeout = std::chrono::seconds(1);   ///< at most the interval
  std::uint32_t rise = 2;                       ///< passed checks, one after the other, that make a backend up
  std::uint32_t fall = 3;                       ///< failed ones that make it down
  std::optional<std::uint16_t> port{};          ///< none: the backend's, else the service's first
  std::string path = "/";                       ///< HTTP's
  std::string host{};                           ///< HTTP's; empty: the endpoint that is asked
  HttpStatusRange status{};                     ///< of HTTP answers that will do
  std::vector<std::string> command{};           ///< an absolute path, and arguments

  auto operator<=>(const HealthCheck&) const = default;
};

}  // namespace vipgate
