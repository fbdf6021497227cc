#include "runtime/config_diff.h"

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

Config config() {
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
  Config config;
  config.rules.vips = {vip};
  config.health = {{HealthCheck(), HealthCheck()}};
  return config;
}

TEST(ConfigDiff, NothingForTheSame) {
  EXPECT_THAT(describe_changes(config(), config()), IsEmpty());
}

TEST(ConfigDiff, WhatComesAndGoes) {
  Config after = config();
  Vip& vip = after.rules.vips[0];
  vip.services[0].name = "shop";
  vip.services[1].backends[0] = backend("10.0.0.9", 8080);
  after.rules.vips.push_back({.address = *Ipv4Address::parse("203.0.113.11"), .interface = {}, .services = {}});
  after.health.emplace_back();
  EXPECT_THAT(describe_changes(config(), after),
              ElementsAre("service shop added", "mail: backend 10.0.0.9:8080 added",
                          "mail: backend 10.0.0.2:8080 removed", "service web removed", "VIP 203.0.113.11 added"));
  EXPECT_THAT(describe_changes(after, config()),
              ElementsAre("service web added", "mail: backend 10.0.0.2:8080 added",
                          "mail: backend 10.0.0.9:8080 removed", "service shop removed", "VIP 203.0.113.11 removed"));
}

TEST(ConfigDiff, WhatChanges) {
  Config after = config();
  Vip& vip = after.rules.vips[0];
  vip.ping = Ping::never;
  vip.services[0].ports = {{80, 81}};
  vip.services[0].limits.flows = 5;
  vip.services[1].backends[1].weight = 7;
  vip.services[1].backends[0].backup = true;
  vip.services[1].backends[0].name = "m1";
  after.rules.timeouts = Timeouts::linux_profile();
  EXPECT_THAT(describe_changes(config(), after),
              ElementsAre("timeouts changed", "VIP 203.0.113.10: ping changed", "web: port, limits changed",
                          "mail: backend m1: is a backup now", "mail: backend 10.0.0.2:8080: is called m1",
                          "mail: backend 10.0.0.3:8080: weight 1 becomes 7"));
}

TEST(ConfigDiff, WhatIsNotOfTheRules) {
  Config after = config();
  after.tun.mtu = 1400;
  after.announcements.push_back({.address = *Ipv4Address::parse("203.0.113.10"), .vip = true});
  after.health[0][1].type = HealthType::http;
  after.rules.vips[0].services[1].balance = Balance::round_robin;
  EXPECT_THAT(describe_changes(config(), after),
              ElementsAre("tun.mtu, announce changed", "mail: health, balance changed"));
}

TEST(ConfigDiff, AnAspectOfTwoMembersIsNamedOnce) {
  Config after = config();
  after.rules.vips[0].services[0].wildcard = true;
  after.rules.vips[0].services[0].ports = {kAllPorts};
  EXPECT_THAT(describe_changes(config(), after), ElementsAre("web: port changed"));
}

}  // namespace
}  // namespace vipgate
