#include "runtime/drain_list.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

class DrainListTest : public testing::Test {
 protected:
  DrainListTest() {
    rules_.vips.push_back({.address = *Ipv4Address::parse("203.0.113.10"),
                           .interface = {},
                           .services = {service("web", 8080), service("mail", 25)}});
  }

  /// The backends that are drained, after a restart too.
  std::vector<std::string> drained() const {
    const DrainList restarted(folder_.path());
    std::vector<std::string> names;
    for (const Service& one : rules_.vips[0].services) {
      for (const Backend& backend : one.backends) {
        EXPECT_EQ(list_.holds(one, backend), restarted.holds(one, backend));
        if (list_.holds(one, backend)) names.push_back(one.name + "/" + backend.name);
      }
    }
    return names;
  }

  test::TemporaryFolder folder_;
  Rules rules_;
  DrainList list_{folder_.path()};
};

TEST_F(DrainListTest, AnAddressMeansEveryService) {
  EXPECT_THAT(drained(), IsEmpty());
  EXPECT_THAT(*list_.add("10.0.0.3", rules_), ElementsAre("web/b", "mail/b"));
  EXPECT_THAT(drained(), ElementsAre("web/b", "mail/b"));
  EXPECT_THAT(*list_.add("10.0.0.3", rules_), ElementsAre("web/b", "mail/b"));
  EXPECT_THAT(*list_.remove("10.0.0.3", rules_), ElementsAre("web/b", "mail/b"));
  EXPECT_THAT(drained(), IsEmpty());
}

TEST_F(DrainListTest, ABackendOfOneServiceHasSeveralNames) {
  for (const char* name : {"web/b", "web/10.0.0.3", "web/10.0.0.3:8080"}) {
    EXPECT_THAT(*list_.add(name, rules_), ElementsAre("web/b")) << name;
    EXPECT_THAT(drained(), ElementsAre("web/b")) << name;
    EXPECT_THAT(*list_.remove("web/b", rules_), ElementsAre("web/b")) << "undone by whichever name";
    EXPECT_THAT(drained(), IsEmpty());
  }
}

TEST_F(DrainListTest, AnAddressPutsBackWhatWasDrainedOneByOne) {
  EXPECT_TRUE(list_.add("web/b", rules_).ok());
  EXPECT_TRUE(list_.add("mail/10.0.0.3:25", rules_).ok());
  EXPECT_THAT(*list_.remove("10.0.0.3", rules_), ElementsAre("web/b", "mail/b"));
  EXPECT_THAT(drained(), IsEmpty());
}

TEST_F(DrainListTest, OneServiceIsNotPutBackWhileAllAreDrained) {
  EXPECT_TRUE(list_.add("10.0.0.3", rules_).ok());
  const auto refused = list_.remove("web/b", rules_).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("undrain 10.0.0.3"));
  EXPECT_THAT(drained(), ElementsAre("web/b", "mail/b"));
}

TEST_F(DrainListTest, UnknownNamesAreRefused) {
  for (const char* name : {"10.0.0.4", "web/c", "web/10.0.0.3:81", "web", ""}) {
    EXPECT_EQ(list_.add(name, rules_).status().code(), absl::StatusCode::kNotFound) << name;
    EXPECT_EQ(list_.remove(name, rules_).status().code(), absl::StatusCode::kNotFound) << name;
  }
}

TEST_F(DrainListTest, ABackendThatLeftTheConfigurationCanBePutBack) {
  EXPECT_TRUE(list_.add("10.0.0.3", rules_).ok());
  Rules without = rules_;
  for (Service& one : without.vips[0].services) one.backends.pop_back();
  EXPECT_THAT(*list_.remove("10.0.0.3", without), IsEmpty());
  EXPECT_THAT(drained(), IsEmpty());
}

TEST_F(DrainListTest, WhatWasNotDrainedIsInAlready) {
  EXPECT_THAT(*list_.remove("web/a", rules_), ElementsAre("web/a"));
  EXPECT_THAT(drained(), IsEmpty());
}

TEST_F(DrainListTest, Fault4_WithoutAPlaceToWriteNothingChanges) {
  std::filesystem::remove_all(folder_.path());
  const auto refused = list_.add("10.0.0.3", rules_).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("nothing has changed"));
  EXPECT_THAT(drained(), IsEmpty());
}

}  // namespace
}  // namespace vipgate
