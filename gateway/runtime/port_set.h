#pragma once

#include <bitset>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vipgate/rules.h"

namespace vipgate {

/// Ports, as net/ipv4/ip_local_reserved_ports lists them: "8080,9148-9160".
class PortSet {
 public:
  /// None: not such a list. The empty text is the empty set.
  static std::optional<PortSet> parse(std::string_view text);
  std::string to_text() const;

  void add(PortRange range);
  bool empty() const { return ports_.none(); }
  /// Sorted, as few as possible.
  std::vector<PortRange> ranges() const;

  PortSet operator|(const PortSet& other) const { return PortSet(ports_ | other.ports_); }
  PortSet operator-(const PortSet& other) const { return PortSet(ports_ & ~other.ports_); }
  bool operator==(const PortSet&) const = default;

  PortSet() = default;

 private:
  static constexpr std::size_t kPorts = 65536;
  using Bits = std::bitset<kPorts>;
  explicit PortSet(const Bits& ports) : ports_(ports) {}

  Bits ports_;
};

}  // namespace vipgate
