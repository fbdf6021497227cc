#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "vipgate/address.h"
#include "vipgate/rules.h"

namespace vipgate {

/// What an address is to the gateway.
struct AddressRole {
  static constexpr std::uint16_t kNoVip = 0xffff;

  static constexpr std::uint16_t kEveryPort = 0xffff;

  std::uint16_t vip = kNoVip;     ///< index of the VIP
  bool shared = false;            ///< a VIP that is this host's own address, too
  bool masquerade = false;        ///< a source address toward backends: every port is allocated by us
  bool gives_out_ports = false;   ///< a VIP whose kAllocatedPorts are: to egress flows and data connections
  bool preserve_backend = false;  ///< a backend that sees its clients' addresses: its packets to them come through us
  std::uint16_t serving = kEveryPort;  ///< of a preserve backend that has egress too: which list of ports it serves at

  bool is_vip() const { return vip != kNoVip; }
  bool allocates(std::uint16_t port) const { return masquerade || (gives_out_ports && kAllocatedPorts.contains(port)); }
  bool is_ours() const { return is_vip() || masquerade; }
};

/// From addresses to roles. Every packet asks twice, mostly for addresses that have none: a quarter of its places are
/// in use at most, so that one look is nearly always enough. Addresses come from the configuration: the hash needs no
/// key.
class RoleTable {
 public:
  /// A default role for addresses that have none.
  const AddressRole& operator[](Ipv4Address address) const { return places_[place_of(address)].role; }

  /// The role, to be filled in. Valid until the next call.
  AddressRole& at(Ipv4Address address) {
    if (Place& place = places_[place_of(address)]; place.in_use) return place.role;
    if (++size_ * 4 > places_.size()) grow();
    Place& place = places_[place_of(address)];
    place.address = address;
    place.in_use = true;
    return place.role;
  }

  std::size_t size() const { return size_; }

  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (const Place& place : places_) {
      if (place.in_use) visit(place.address, place.role);
    }
  }

 private:
  struct Place {
    Ipv4Address address;
    AddressRole role;
    bool in_use = false;
  };

  /// Where the address is, or the empty place where it would be.
  std::size_t place_of(Ipv4Address address) const {
    // Fibonacci hashing (Knuth, The Art of Computer Programming, vol. 3, §6.4).
    std::size_t place = (address.value() * std::uint32_t{0x9e3779b1}) >> shift_;
    while (places_[place].address != address && places_[place].in_use) place = (place + 1) & (places_.size() - 1);
    return place;
  }

  void grow() {
    const std::vector<Place> before = std::exchange(places_, std::vector<Place>(places_.size() * 2));
    --shift_;
    for (const Place& place : before) {
      if (place.in_use) places_[place_of(place.address)] = place;
    }
  }

  static constexpr int kFirstBits = 5;

  std::vector<Place> places_ = std::vector<Place>(std::size_t{1} << kFirstBits);  ///< a power of two
  int shift_ = 32 - kFirstBits;
  std::size_t size_ = 0;
};

}  // namespace vipgate
