#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "device/netlink.h"
#include "runtime/doctor/firewall.h"
#include "runtime/kernel_plan.h"
#include "vipgate/address.h"

namespace vipgate::doctor {

/// Where this host sends packets for an address.
struct Way {
  std::string device{};
  std::optional<Ipv4Address> gateway{};
  bool local = false;     ///< it is this host's own
  std::string problem{};  ///< none leads there, and why; the others are empty
};

struct Conntrack {
  std::uint64_t entries = 0;
  std::uint64_t room = 0;
};

/// What a process with this one's rights may do; empty: it may, else why not, and the remedy.
struct Rights {
  bool net_admin = false;
  bool net_raw = false;
  std::string tun{};       ///< opening /dev/net/tun
  std::string realtime{};  ///< real-time threads
  std::string steering{};  ///< loading the program that steers packets
  std::string at_once{};   ///< io_uring
  bool read_only = false;  ///< /proc/sys cannot be written
};

struct KernelVersion {
  int major = 0;
  int minor = 0;

  auto operator<=>(const KernelVersion&) const = default;
};

/// systemd-networkd.
struct Networkd {
  bool runs = false;
  bool manages_foreign_rules = true;
  bool manages_foreign_routes = true;
};

/// NetworkManager.
struct NetworkManager {
  bool runs = false;
  bool leaves_tun = false;  ///< a file of its configuration says so
};

/// Files, folders and ports that a gateway needs.
struct Places {
  std::string state_dir{};        ///< why it cannot be used; empty: it can
  std::string control_socket{};   ///< likewise
  std::uint64_t flow_bytes = 0;   ///< that the file of flows will take
  std::uint64_t flow_room = 0;    ///< bytes free where it will be
  std::string flow_folder{};      ///< where that is; empty: there is no tmpfs
  bool flows_there = false;       ///< the file is there already, with all its memory
  std::string http_listener{};    ///< who else listens at control.http; empty: nobody
  std::uint64_t index_bytes = 0;  ///< memory that a gateway needs besides
  std::uint64_t memory = 0;       ///< bytes available; 0: not known
};

/// All that is known of a host. Collected without changing anything.
struct Facts {
  KernelView view{};
  bool running = false;                                         ///< a gateway has the TUN
  std::map<std::string, std::string> sysctls{};                 ///< those that are there
  std::map<std::uint32_t, std::vector<Route>> policy_tables{};  ///< that others' rules ahead of ours look up
  std::map<Ipv4Address, Way> ways{};                            ///< to backends
  Firewall firewall{};
  std::optional<Conntrack> conntrack{};  ///< none: the kernel has none, or it is not loaded
  Rights rights{};
  KernelVersion kernel{};
  unsigned processors = 1;
  Networkd networkd{};
  NetworkManager network_manager{};
  Places places{};
  std::map<std::string, bool> merges{};  ///< network cards, and whether they join packets (GRO)
};

/// Errors are ready to be shown. `config` gets what is known of this host (read_host()).
absl::StatusOr<Facts> collect(Config& config, NetlinkKernel& kernel);

// Parts of it.

Networkd find_networkd(const std::string& root);
NetworkManager find_network_manager(const std::string& root, const std::string& tun);
Places find_places(const Config& config, bool running);
Rights find_rights();

/// Whether a program runs in this network namespace, by its name in /proc/PID/comm, which has at most 15 characters.
bool program_runs(const std::string& name);

/// Devices by which clients come: those of default routes and of ARP announcements, else those that have an address
/// and no backend behind them, else all that do.
std::vector<std::string> front_devices(const Config& config, const Facts& facts);
std::vector<std::string> backend_devices(const Facts& facts);

}  // namespace vipgate::doctor
