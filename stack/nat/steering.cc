#include "vipgate/steering.h"

#include <algorithm>

#include "nat/ruleset.h"
#include "nat/shard.h"

namespace vipgate {

std::vector<SteeredAddress> Ruleset::steered_addresses() const {
  constexpr PortRange kEvery{0, 65535};
  std::vector<SteeredAddress> addresses;
  addresses.reserve(roles_.size());
  roles_.for_each([&](Ipv4Address address, const AddressRole& role) {
    SteeredAddress& steered = addresses.emplace_back(SteeredAddress{.address = address, .is_vip = role.is_vip()});
    if (role.masquerade || role.gives_out_ports) steered.allocates = {role.masquerade ? kEvery : kAllocatedPorts};
    if (!role.preserve_backend) return;
    steered.serves = role.serving == AddressRole::kEveryPort ? std::vector{kEvery} : serving_[role.serving];
  });
  std::sort(addresses.begin(), addresses.end(),
            [](const SteeredAddress& a, const SteeredAddress& b) { return a.address < b.address; });
  return addresses;
}

SteeringTable steering_table(const Ruleset& ruleset, std::uint64_t seed) {
  const Sharding sharding(seed);
  return {.first_key = sharding.hash().first_key(),
          .second_key = sharding.hash().second_key(),
          .addresses = ruleset.steered_addresses()};
}

}  // namespace vipgate
