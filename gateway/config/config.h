#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/health_check.h"
#include "vipgate/rules.h"

namespace vipgate {

/// Where an address of the gateway's own is made known to others.
struct Announcement {
  Ipv4Address address{};
  bool vip = false;                            ///< announced while it is served; else a masquerade address
  std::vector<std::string> arp{};              ///< interfaces where this host answers ARP for it
  std::optional<std::uint32_t> route_table{};  ///< where routing daemons find a host route to it

  bool operator==(const Announcement&) const = default;
};

/// How workers are scheduled.
enum class Scheduling : std::uint8_t {
  automatic,  ///< real-time threads where the process may and there is more than one processor
  realtime,
  normal,
};

/// The configuration file (README, "Configuration"), checked and with every default filled in.
struct Config {
  struct Tun {
    std::string name = "tun0";
    std::uint32_t mtu = 1500;   ///< bytes
    std::uint32_t workers = 0;  ///< 0: as many as the machine has use for
    bool offload = true;        ///< checksum and segmentation offload
    Scheduling scheduling = Scheduling::automatic;
  };
  struct Flows {
    std::size_t max = 0;  ///< 0: as many as memory allows, at most 262,144
    std::string state_dir = "/run/vipgate";
  };
  struct Kernel {
    std::uint32_t rule_priority = 100;  ///< of the first policy rule; the others follow
    std::uint32_t table = 187;          ///< routing table of our own
    std::uint8_t protocol = 86;         ///< tag of our routes and rules
    bool guard = true;                  ///< keep clients from reaching backends directly
  };
  struct Control {
    std::string socket;                  ///< path of the UNIX socket that commands talk to
    std::optional<std::uint32_t> group;  ///< number of the group whose members may use it, too
    std::optional<Endpoint> http;        ///< where it can be looked at over TCP; none: nowhere
  };

  Tun tun;
  Flows flows;
  Kernel kernel;
  Control control;
  std::vector<Announcement> announcements;       ///< VIPs first, each in the file's order
  std::vector<std::vector<HealthCheck>> health;  ///< by VIP and service, as in `rules`
  Rules rules;  ///< without `connected` and `host_addresses`: those are the running host's
};

/// One thing that is wrong with a configuration, and where.
struct ConfigError {
  std::size_t line = 0;    ///< from 1
  std::size_t column = 0;  ///< from 1, in bytes
  std::string what;        ///< the fault and its remedy
};

/// Either a configuration, or at least one error, in order of place.
struct ConfigResult {
  std::optional<Config> config;
  std::vector<ConfigError> errors;
};

/// Checks everything before it gives up: all errors are reported at once (a syntax error alone, and of more than 100
/// errors the first 100 and the number of the others). Throws nothing.
ConfigResult parse_config(std::string_view text);

/// "FILE:LINE:COLUMN: what", as compilers and editors know it.
std::string format_error(std::string_view file, const ConfigError& error);

}  // namespace vipgate
