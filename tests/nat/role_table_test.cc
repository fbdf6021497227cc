#include "nat/role_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace vipgate {
namespace {

TEST(RoleTable, KnowsNobodyAtFirst) {
  const RoleTable roles;
  EXPECT_FALSE(roles[Ipv4Address()].is_ours());
  EXPECT_FALSE(roles[Ipv4Address(0x0a000001)].preserve_backend);
  EXPECT_EQ(roles.size(), 0U);
}

TEST(RoleTable, TakesNoAddressForTheEmptyPlace) {
  RoleTable roles;
  roles.at(Ipv4Address()).masquerade = true;
  EXPECT_TRUE(roles[Ipv4Address()].masquerade);
  EXPECT_FALSE(roles[Ipv4Address(1)].masquerade);
  EXPECT_EQ(roles.size(), 1U);
}

TEST(RoleTable, IsAMap) {
  std::mt19937 random(1);
  RoleTable roles;
  std::map<Ipv4Address, std::uint16_t> model;
  // Neighbours, as configurations have them, and others.
  const auto draw = [&] {
    return Ipv4Address(static_cast<std::uint32_t>((random() % 2 == 0 ? 0x0a000000 : 0) + random() % 8192));
  };
  for (std::uint16_t i = 0; i < 5000; ++i) {
    const Ipv4Address address = draw();
    roles.at(address).vip = i;
    model[address] = i;
    const Ipv4Address other = draw();
    const auto found = model.find(other);
    ASSERT_EQ(roles[other].vip, found == model.end() ? AddressRole::kNoVip : found->second) << other.to_string();
  }
  EXPECT_EQ(roles.size(), model.size());
  std::map<Ipv4Address, std::uint16_t> all;
  roles.for_each([&](Ipv4Address address, const AddressRole& role) { all[address] = role.vip; });
  EXPECT_EQ(all, model);
}

}  // namespace
}  // namespace vipgate
