#include "runtime/health/down_list.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/temporary_folder.h"

namespace vipgate {
namespace {

Endpoint endpoint(const char* address, std::uint16_t port) {
  return {*Ipv4Address::parse(address), port};
}

TEST(DownList, WhatIsWrittenIsRead) {
  const test::TemporaryFolder folder;
  EXPECT_TRUE(read_down_list(folder.path()).empty()) << "no file yet";
  const std::set<Endpoint> down{endpoint("10.0.0.2", 8080), endpoint("10.0.0.3", 0)};
  ASSERT_TRUE(write_down_list(folder.path(), down).ok());
  EXPECT_EQ(read_down_list(folder.path()), down);
  ASSERT_TRUE(write_down_list(folder.path(), {}).ok());
  EXPECT_TRUE(read_down_list(folder.path()).empty());
}

TEST(DownList, WhatCannotBeReadIsLeftOut) {
  const test::TemporaryFolder folder;
  std::ofstream(folder.path() + "/" + kDownList) << "10.0.0.2:8080\n\n10.0.0.3\n10.0.0.4:70000\nx:80\n:\n10.0.0.5:25";
  EXPECT_EQ(read_down_list(folder.path()), (std::set<Endpoint>{endpoint("10.0.0.2", 8080), endpoint("10.0.0.5", 25)}));
}

TEST(DownList, AFolderThatIsNotThere) {
  EXPECT_FALSE(write_down_list("/nonexistent/folder", {endpoint("10.0.0.2", 80)}).ok());
}

}  // namespace
}  // namespace vipgate
