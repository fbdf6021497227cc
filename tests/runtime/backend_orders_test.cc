#include "runtime/backend_orders.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/whole_file.h"
#include "support/temporary_folder.h"

namespace vipgate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Service service(const std::string& name, std::uint16_t port) {
  Service service;
  service.name = name;
  Backend a;
  a.name = "a";
  a.address = *Ipv4Address::parse("10.0.0.2");
  a.port = port;
  Backend b = a;
  b.name = "b";
  b.address = *Ipv4Address::parse("10.0.0.3");
  service.backends = {a, b};
  return service;
}

class BackendOrdersTest : public testing::Test {
 protected:
  BackendOrdersTest() {
    rules_.vips.push_back({.address = *Ipv4Address::parse("203.0.113.10"),
                           .interface = {},
                           .services = {service("web", 8080), service("mail", 25)}});
  }

  /// The rules as they are marked, and no otherwise after a restart.
  Rules marked() const {
    Rules marked = rules_;
    orders_.mark(marked);
    Rules restarted = rules_;
    BackendOrders(folder_.path()).mark(restarted);
    EXPECT_EQ(marked, restarted);
    return marked;
  }

  std::vector<std::string> drained() const {
    std::vector<std::string> names;
    const Rules rules = marked();
    for (const Service& one : rules.vips[0].services) {
      for (const Backend& backend : one.backends) {
        if (backend.drained) names.push_back(one.name + "/" + backend.name);
      }
    }
    return names;
  }

  /// Those with another weight than the configured one, as "web/b 5".
  std::vector<std::string> weights() const {
    std::vector<std::string> said;
    const Rules rules = marked();
    for (const Service& one : rules.vips[0].services) {
      for (const Backend& backend : one.backends) {
        EXPECT_EQ(backend.configured_weight.value_or(backend.weight), 1U);
        if (backend.configured_weight) {
          said.push_back(one.name + "/" + backend.name + " " + std::to_string(backend.weight));
        }
      }
    }
    return said;
  }

  std::string file() const { return read_whole(folder_.path() + "/drained").value_or(""); }

  test::TemporaryFolder folder_;
  Rules rules_;
  BackendOrders orders_{folder_.path()};
};

TEST_F(BackendOrdersTest, AnAddressMeansEveryService) {
  EXPECT_THAT(drained(), IsEmpty());
  EXPECT_THAT(*orders_.drain("10.0.0.3", rules_), ElementsAre("web/b", "mail/b"));
  EXPECT_THAT(drained(), ElementsAre("web/b", "mail/b"));
  EXPECT_THAT(*orders_.drain("10.0.0.3", rules_), ElementsAre("web/b", "mail/b"));
  EXPECT_THAT(*orders_.undrain("10.0.0.3", rules_), ElementsAre("web/b", "mail/b"));
  EXPECT_THAT(drained(), IsEmpty());
}

TEST_F(BackendOrdersTest, ABackendOfOneServiceHasSeveralNames) {
  for (const char* name : {"web/b", "web/10.0.0.3", "web/10.0.0.3:8080"}) {
    EXPECT_THAT(*orders_.drain(name, rules_), ElementsAre("web/b")) << name;
    EXPECT_THAT(drained(), ElementsAre("web/b")) << name;
    EXPECT_THAT(*orders_.undrain("web/b", rules_), ElementsAre("web/b")) << "undone by whichever name";
    EXPECT_THAT(drained(), IsEmpty());
  }
}

TEST_F(BackendOrdersTest, AnAddressPutsBackWhatWasDrainedOneByOne) {
  EXPECT_TRUE(orders_.drain("web/b", rules_).ok());
  EXPECT_TRUE(orders_.drain("mail/10.0.0.3:25", rules_).ok());
  EXPECT_THAT(*orders_.undrain("10.0.0.3", rules_), ElementsAre("web/b", "mail/b"));
  EXPECT_THAT(drained(), IsEmpty());
}

TEST_F(BackendOrdersTest, OneServiceIsNotPutBackWhileAllAreDrained) {
  EXPECT_TRUE(orders_.drain("10.0.0.3", rules_).ok());
  const auto refused = orders_.undrain("web/b", rules_).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("undrain 10.0.0.3"));
  EXPECT_THAT(drained(), ElementsAre("web/b", "mail/b"));
}

TEST_F(BackendOrdersTest, UnknownNamesAreRefused) {
  for (const char* name : {"10.0.0.4", "web/c", "web/10.0.0.3:81", "web", ""}) {
    EXPECT_EQ(orders_.drain(name, rules_).status().code(), absl::StatusCode::kNotFound) << name;
    EXPECT_EQ(orders_.undrain(name, rules_).status().code(), absl::StatusCode::kNotFound) << name;
  }
}

TEST_F(BackendOrdersTest, ABackendThatLeftTheConfigurationCanBePutBack) {
  EXPECT_TRUE(orders_.drain("10.0.0.3", rules_).ok());
  Rules without = rules_;
  for (Service& one : without.vips[0].services) one.backends.pop_back();
  EXPECT_THAT(*orders_.undrain("10.0.0.3", without), IsEmpty());
  EXPECT_THAT(drained(), IsEmpty());
}

TEST_F(BackendOrdersTest, WhatWasNotDrainedIsInAlready) {
  EXPECT_THAT(*orders_.undrain("web/a", rules_), ElementsAre("web/a"));
  EXPECT_THAT(drained(), IsEmpty());
}

TEST_F(BackendOrdersTest, Fault4_WithoutAPlaceToWriteNothingChanges) {
  std::filesystem::remove_all(folder_.path());
  const auto refused = orders_.drain("10.0.0.3", rules_).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("nothing has changed"));
  EXPECT_THAT(drained(), IsEmpty());
}

TEST_F(BackendOrdersTest, AWeightIsSetAndTakenBack) {
  EXPECT_THAT(*orders_.set_weight("web/10.0.0.3:8080", 5, rules_), ElementsAre("web/b"));
  EXPECT_THAT(weights(), ElementsAre("web/b 5"));
  EXPECT_THAT(*orders_.set_weight("web/b", 0, rules_), ElementsAre("web/b")) << "by another name";
  EXPECT_THAT(weights(), ElementsAre("web/b 0"));
  EXPECT_THAT(*orders_.reset_weight("web/10.0.0.3", rules_), ElementsAre("web/b")) << "and by a third";
  EXPECT_THAT(weights(), IsEmpty());
  EXPECT_THAT(*orders_.reset_weight("web/b", rules_), ElementsAre("web/b")) << "it has none any more";
  EXPECT_EQ(file(), "");
}

TEST_F(BackendOrdersTest, TheNarrowerNamesWeightHolds) {
  EXPECT_THAT(*orders_.set_weight("10.0.0.3", 5, rules_), ElementsAre("web/b", "mail/b"));
  EXPECT_TRUE(orders_.set_weight("web/b", 7, rules_).ok());
  EXPECT_THAT(weights(), ElementsAre("web/b 7", "mail/b 5"));
  const auto refused = orders_.reset_weight("mail/b", rules_).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("take back that of 10.0.0.3"));
  EXPECT_THAT(weights(), ElementsAre("web/b 7", "mail/b 5"));
  EXPECT_TRUE(orders_.set_weight("10.0.0.3", 9, rules_).ok());
  EXPECT_THAT(weights(), ElementsAre("web/b 9", "mail/b 9")) << "the last word counts";
  EXPECT_THAT(*orders_.reset_weight("10.0.0.3", rules_), ElementsAre("web/b", "mail/b"));
  EXPECT_THAT(weights(), IsEmpty());
}

TEST_F(BackendOrdersTest, OneOfTwoPortsOfAHostIsSpokenOfAlone) {
  Service& web = rules_.vips[0].services[0];
  web.backends[0].address = web.backends[1].address;
  web.backends[0].port = 8081;
  EXPECT_THAT(*orders_.set_weight("web/10.0.0.3", 5, rules_), ElementsAre("web/a", "web/b"));
  EXPECT_THAT(*orders_.set_weight("web/10.0.0.3:8081", 7, rules_), ElementsAre("web/a"));
  EXPECT_THAT(weights(), ElementsAre("web/a 7", "web/b 5"));
  EXPECT_TRUE(orders_.drain("web/10.0.0.3", rules_).ok());
  EXPECT_EQ(orders_.undrain("web/b", rules_).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(drained(), ElementsAre("web/a", "web/b"));
}

TEST_F(BackendOrdersTest, WeightAndDrainingAreTwoThings) {
  EXPECT_TRUE(orders_.set_weight("web/b", 5, rules_).ok());
  EXPECT_TRUE(orders_.drain("web/b", rules_).ok());
  EXPECT_THAT(drained(), ElementsAre("web/b"));
  EXPECT_TRUE(orders_.undrain("10.0.0.3", rules_).ok());
  EXPECT_THAT(drained(), IsEmpty());
  EXPECT_THAT(weights(), ElementsAre("web/b 5"));
  EXPECT_EQ(orders_.set_weight("web/c", 5, rules_).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(orders_.reset_weight("web/c", rules_).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(BackendOrdersTest, WhatAnotherVersionWroteIsKept) {
  // The version before knew names alone, and took every line for one.
  ASSERT_TRUE(write_whole(folder_.path() + "/drained", "web/a\nweb/b\tweight 5\nweb/b\tcolour red\n").ok());
  orders_ = BackendOrders(folder_.path());
  EXPECT_THAT(drained(), ElementsAre("web/a"));
  EXPECT_THAT(weights(), ElementsAre("web/b 5"));
  EXPECT_TRUE(orders_.undrain("web/a", rules_).ok());
  EXPECT_EQ(file(), "web/b\tweight 5\nweb/b\tcolour red\n");
}

}  // namespace
}  // namespace vipgate
