#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/health_check.h"
#include "vipgate/rules.h"

// The rules while they are checked: every value that can clash with another one knows its place.
namespace vipgate::config {

template <typename T>
struct Placed {
  T value{};
  std::size_t offset = 0;
};

struct DraftBackend {
  Backend backend;                      ///< the name is empty until the service is complete
  std::size_t offset = 0;               ///< of its address
  std::size_t port_offset = 0;          ///< of its port, if it has one
  std::optional<std::size_t> named_at;  ///< none: the name is ours
};

struct DraftPorts {
  bool wildcard = false;
  std::vector<Placed<PortRange>> ranges;  ///< sorted by first port
};

struct DraftService {
  Service service;  ///< without ports, masquerade and backends: those are below
  std::size_t offset = 0;
  std::optional<std::size_t> named_at;
  DraftPorts ports;
  std::optional<Placed<Ipv4Address>> masquerade;
  std::size_t helper_offset = 0;  ///< of its helper, if it has one
  HealthCheck health;
  std::vector<DraftBackend> backends;
};

struct DraftAnnouncement {
  Ipv4Address address{};
  bool vip = false;
  std::vector<Placed<std::string>> arp;
  std::optional<Placed<std::uint32_t>> route_table;
};

struct DraftVip {
  Vip vip;                   ///< without services: those are below
  bool has_address = false;  ///< else it could not be read, or follows an interface
  std::size_t offset = 0;    ///< of its address
  std::optional<DraftAnnouncement> announcement;
  std::vector<DraftService> services;
};

struct DraftEgress {
  Placed<Ipv4Prefix> from;
  Placed<Ipv4Address> as;
  std::vector<Ipv4Prefix> except;
};

/// A list that can be judged as a whole only if every entry could be read.
template <typename T>
struct DraftList {
  bool given = false;
  bool whole = true;
  std::vector<Placed<T>> entries;
};

struct Draft {
  DraftList<Ipv4Prefix> subnets;
  DraftList<Ipv4Address> masquerade;
  std::vector<DraftAnnouncement> announcements;  ///< VIPs first
  std::vector<DraftVip> vips;
  std::vector<DraftEgress> egress;  ///< in the file's order: the first that holds a host is the host's
};

}  // namespace vipgate::config
