#include "device/arp.h"

#include <arpa/inet.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace vipgate {
namespace {

// RFC 826, "Packet format", with six bytes of hardware and four of protocol address.
constexpr std::size_t kHardwareType = 0;
constexpr std::size_t kProtocolType = 2;
constexpr std::size_t kHardwareSize = 4;
constexpr std::size_t kProtocolSize = 5;
constexpr std::size_t kOperation = 6;
constexpr std::size_t kSenderMac = 8;
constexpr std::size_t kSender = 14;
constexpr std::size_t kTargetMac = 18;
constexpr std::size_t kTarget = 24;

constexpr MacAddress kEverybody{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
constexpr int kMaxPackets = 10000;  // a call of claims(): a flood of ARP must not hold up the control thread

template <typename Bytes>
void put(Bytes& bytes, std::size_t offset, std::uint32_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) bytes.at(offset + i) = static_cast<std::byte>(value >> 8 * (size - 1 - i));
}

std::uint32_t get(std::span<const std::byte> bytes, std::size_t offset, std::size_t size) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value = value << 8 | std::to_integer<std::uint32_t>(bytes[offset + i]);
  return value;
}

sockaddr_ll link_address(int index) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ARP);
  address.sll_ifindex = index;
  address.sll_halen = static_cast<unsigned char>(kEverybody.size());
  std::copy(kEverybody.begin(), kEverybody.end(), address.sll_addr);
  return address;
}

absl::Status failed(int error, const std::string& what) {
  switch (error) {
    case EPERM:
    case EACCES:
      return absl::PermissionDeniedError(absl::StrCat(what, ": needs root or CAP_NET_RAW"));
    case ENODEV:
    case ENXIO:
    case ENETDOWN:
      return absl::NotFoundError(absl::StrCat(what, ": ", std::strerror(error)));
    default:
      return absl::ErrnoToStatus(error, what);
  }
}

}  // namespace

std::string to_string(const MacAddress& mac) {
  return absl::StrFormat("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

std::array<std::byte, ArpPacket::kSize> ArpPacket::to_bytes() const {
  std::array<std::byte, kSize> bytes{};
  put(bytes, kHardwareType, ARPHRD_ETHER, 2);
  put(bytes, kProtocolType, ETH_P_IP, 2);
  put(bytes, kHardwareSize, sizeof(MacAddress), 1);
  put(bytes, kProtocolSize, sizeof(std::uint32_t), 1);
  put(bytes, kOperation, static_cast<std::uint32_t>(operation), 2);
  for (std::size_t i = 0; i < sender_mac.size(); ++i) put(bytes, kSenderMac + i, sender_mac.at(i), 1);
  put(bytes, kSender, sender.value(), 4);
  for (std::size_t i = 0; i < target_mac.size(); ++i) put(bytes, kTargetMac + i, target_mac.at(i), 1);
  put(bytes, kTarget, target.value(), 4);
  return bytes;
}

std::optional<ArpPacket> ArpPacket::parse(std::span<const std::byte> bytes) {
  if (bytes.size() < kSize || get(bytes, kHardwareType, 2) != ARPHRD_ETHER ||
      get(bytes, kProtocolType, 2) != ETH_P_IP || get(bytes, kHardwareSize, 1) != sizeof(MacAddress) ||
      get(bytes, kProtocolSize, 1) != sizeof(std::uint32_t)) {
    return std::nullopt;
  }
  const std::uint32_t operation = get(bytes, kOperation, 2);
  if (operation != 1 && operation != 2) return std::nullopt;
  ArpPacket packet;
  packet.operation = static_cast<ArpOperation>(operation);
  for (std::size_t i = 0; i < packet.sender_mac.size(); ++i) {
    packet.sender_mac.at(i) = static_cast<std::uint8_t>(bytes[kSenderMac + i]);
    packet.target_mac.at(i) = static_cast<std::uint8_t>(bytes[kTargetMac + i]);
  }
  packet.sender = Ipv4Address(get(bytes, kSender, 4));
  packet.target = Ipv4Address(get(bytes, kTarget, 4));
  return packet;
}

absl::Status ArpPort::listen(const std::string& device) {
  const std::string what = absl::StrCat("cannot speak ARP on ", device);
  UniqueFd socket(::socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return failed(errno, what);
  ifreq request{};
  std::memcpy(request.ifr_name, device.data(), std::min(device.size(), sizeof(request.ifr_name) - 1));
  if (::ioctl(socket.get(), SIOCGIFINDEX, &request) != 0) return failed(errno, what);
  const int index = request.ifr_ifindex;
  if (const auto known = listeners_.find(device); known != listeners_.end() && known->second.index == index) {
    return absl::OkStatus();
  }
  if (::ioctl(socket.get(), SIOCGIFHWADDR, &request) != 0) return failed(errno, what);
  if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
    return absl::FailedPreconditionError(absl::StrCat(what, ": it is no Ethernet device. Leave it out of \"arp\""));
  }
  const sockaddr_ll address = link_address(index);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return failed(errno, what);
  Listener& listener = listeners_[device];
  listener.socket = std::move(socket);
  listener.index = index;
  std::memcpy(listener.mac.data(), request.ifr_hwaddr.sa_data, listener.mac.size());
  return absl::OkStatus();
}

absl::Status ArpPort::send(const std::string& device, ArpPacket packet) {
  if (absl::Status status = listen(device); !status.ok()) return status;
  const Listener& listener = listeners_.at(device);
  packet.sender_mac = listener.mac;
  const std::array<std::byte, ArpPacket::kSize> bytes = packet.to_bytes();
  const sockaddr_ll everybody = link_address(listener.index);
  if (::sendto(listener.socket.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&everybody),
               sizeof(everybody)) < 0) {
    return failed(errno, absl::StrCat("cannot send ARP on ", device));
  }
  return absl::OkStatus();
}

absl::Status ArpPort::ask(const std::string& device, Ipv4Address address, std::optional<Ipv4Address> own) {
  absl::Status status = send(device, {.target = address});
  if (status.ok() && own) status = send(device, {.sender = *own, .target = address});
  return status;
}

absl::Status ArpPort::announce(const std::string& device, Ipv4Address address) {
  return send(device, {.sender = address, .target = address});
}

bool ArpPort::is_own(const MacAddress& mac) const {
  return std::any_of(listeners_.begin(), listeners_.end(), [&](const auto& entry) { return entry.second.mac == mac; });
}

std::vector<ArpClaim> ArpPort::claims() {
  std::vector<ArpClaim> claims;
  for (const auto& [device, listener] : listeners_) {
    for (int i = 0; i < kMaxPackets; ++i) {
      std::array<std::byte, 64> bytes;
      sockaddr_ll from{};
      socklen_t from_size = sizeof(from);
      const ssize_t size = ::recvfrom(listener.socket.get(), bytes.data(), bytes.size(), 0,
                                      reinterpret_cast<sockaddr*>(&from), &from_size);
      if (size < 0 && errno != ENETDOWN) break;  // which is said once
      if (size < 0 || from.sll_pkttype == PACKET_OUTGOING) continue;
      const auto packet = ArpPacket::parse(std::span(bytes).first(static_cast<std::size_t>(size)));
      if (!packet || is_own(packet->sender_mac)) continue;
      // RFC 5227 §2.1.1: whoever sends from the address has it; whoever probes for it wants it.
      const bool probe = packet->sender == Ipv4Address() && packet->operation == ArpOperation::request;
      claims.push_back({device, probe ? packet->target : packet->sender, packet->sender_mac, probe});
    }
  }
  return claims;
}

void ArpPort::keep_only(const std::set<std::string>& devices) {
  std::erase_if(listeners_, [&](const auto& entry) { return !devices.contains(entry.first); });
}

Time ArpPort::now() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return Time(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

void ArpPort::wait(Duration time) {
  std::this_thread::sleep_for(time);
}

}  // namespace vipgate
