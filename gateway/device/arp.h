#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "device/unique_fd.h"
#include "vipgate/address.h"
#include "vipgate/time.h"

namespace vipgate {

using MacAddress = std::array<std::uint8_t, 6>;
std::string to_string(const MacAddress& mac);

enum class ArpOperation : std::uint16_t { request = 1, reply = 2 };  // RFC 826

/// An ARP packet about IPv4 on Ethernet.
struct ArpPacket {
  ArpOperation operation = ArpOperation::request;
  MacAddress sender_mac{};
  Ipv4Address sender{};  ///< 0.0.0.0: a probe (RFC 5227 §1.1)
  MacAddress target_mac{};
  Ipv4Address target{};

  bool operator==(const ArpPacket&) const = default;

  static constexpr std::size_t kSize = 28;
  std::array<std::byte, kSize> to_bytes() const;
  static std::optional<ArpPacket> parse(std::span<const std::byte> bytes);
};

/// What somebody else said about an address on a device.
struct ArpClaim {
  std::string device{};
  Ipv4Address address{};
  MacAddress mac{};
  bool probe = false;  ///< wants the address, does not have it yet

  bool operator==(const ArpClaim&) const = default;
};

/// ARP as vipgate speaks it itself; the kernel answers requests (ProxyNeighbour). A seam, as KernelInterface is.
class ArpInterface {
 public:
  virtual ~ArpInterface() = default;

  /// Asks who has `address`. The first call begins to listen on the device. `own`: this host's address on that device,
  /// if it has one; hosts that answer for others answer only those who have an address.
  virtual absl::Status ask(const std::string& device, Ipv4Address address, std::optional<Ipv4Address> own) = 0;
  /// Tells all neighbours that `address` is here (an ARP Announcement of RFC 5227 §1.1).
  virtual absl::Status announce(const std::string& device, Ipv4Address address) = 0;
  /// What came since the last call. Does not wait.
  virtual std::vector<ArpClaim> claims() = 0;
  /// Ends listening on other devices.
  virtual void keep_only(const std::set<std::string>& devices) = 0;

  virtual Time now() = 0;
  virtual void wait(Duration time) = 0;
};

/// Through packet sockets, in the network namespace of the calling thread. For one thread.
class ArpPort final : public ArpInterface {
 public:
  absl::Status ask(const std::string& device, Ipv4Address address, std::optional<Ipv4Address> own) override;
  absl::Status announce(const std::string& device, Ipv4Address address) override;
  std::vector<ArpClaim> claims() override;
  void keep_only(const std::set<std::string>& devices) override;
  Time now() override;
  void wait(Duration time) override;

 private:
  struct Listener {
    UniqueFd socket;
    int index = 0;  ///< of the device
    MacAddress mac{};
  };

  absl::Status listen(const std::string& device);
  absl::Status send(const std::string& device, ArpPacket packet);
  bool is_own(const MacAddress& mac) const;

  std::map<std::string, Listener> listeners_;
};

}  // namespace vipgate
