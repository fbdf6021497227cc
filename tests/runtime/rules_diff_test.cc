#include "runtime/rules_diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vipgate {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Backend backend(const char* address, std::uint16_t port) {
  Backend one;
  one.address = *Ipv4Address::parse(address);
  one.port = port;
  one.name = std::string(address) + ":" + std::to_string(port);
  return one;
}

Rules rules() {
  Service web;
  web.name = "web";
  web.protocols = {Protocol::tcp};
  web.ports = {{80, 80}};
  web.backends = {backend("10.0.0.2", 8080), backend("10.0.0.3", 8080)};
  Service mail = web;
  mail.name = "mail";
  mail.ports = {{25, 25}};
  Vip vip;
  vip.address = *Ipv4Address::parse("203.0.113.10");
  vip.services = {web, mail};
  Rules rules;
  rules.vips = {vip};
  return rules;
}

TEST(RulesDiff, NothingForTheSame) {
  EXPECT_THAT(describe_changes(rules(), rules()), IsEmpty());
}

TEST(RulesDiff, NotWhatThisHostIsLike) {
  Rules after = rules();
  after.connected = {*Ipv4Prefix::parse("10.0.0.0/24")};
  after.host_addresses = {*Ipv4Address::parse("10.0.0.1")};
  EXPECT_THAT(describe_changes(rules(), after), IsEmpty());
}

TEST(RulesDiff, WhatComesAndGoes) {
  Rules after = rules();
  Vip& vip = after.vips[0];
  vip.services[0].name = "shop";
  vip.services[1].backends[0] = backend("10.0.0.9", 8080);
  after.vips.push_back({.address = *Ipv4Address::parse("203.0.113.11"), .services = {}});
  EXPECT_THAT(describe_changes(rules(), after),
              ElementsAre("service shop added", "mail: backend 10.0.0.9:8080 added",
                          "mail: backend 10.0.0.2:8080 removed", "service web removed", "VIP 203.0.113.11 added"));
  EXPECT_THAT(describe_changes(after, rules()),
              ElementsAre("service web added", "mail: backend 10.0.0.2:8080 added",
                          "mail: backend 10.0.0.9:8080 removed", "service shop removed", "VIP 203.0.113.11 removed"));
}

TEST(RulesDiff, WhatChanges) {
  Rules after = rules();
  Vip& vip = after.vips[0];
  vip.ping = Ping::never;
  vip.services[0].ports = {{80, 81}};
  vip.services[0].limits.flows = 5;
  vip.services[1].backends[1].weight = 7;
  after.timeouts = Timeouts::linux_profile();
  EXPECT_THAT(describe_changes(rules(), after),
              ElementsAre("timeouts changed", "VIP 203.0.113.10: ping changed", "web: port, limits changed",
                          "mail: backend 10.0.0.3:8080: weight 1 becomes 7"));
}

TEST(RulesDiff, AnAspectOfTwoMembersIsNamedOnce) {
  Rules after = rules();
  after.vips[0].services[0].wildcard = true;
  after.vips[0].services[0].ports = {kAllPorts};
  EXPECT_THAT(describe_changes(rules(), after), ElementsAre("web: port changed"));
}

}  // namespace
}  // namespace vipgate
