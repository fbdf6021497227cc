#include "device/sysctl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "namespace.h"

namespace vipgate {
namespace {

using ::testing::HasSubstr;

NAMESPACE_TEST(Sysctl, writes_and_reads) {
  EXPECT_EQ(read_sysctl("net/ipv4/ip_forward").value(), "0");
  ASSERT_TRUE(write_sysctl("net/ipv4/ip_forward", "1").ok());
  EXPECT_EQ(read_sysctl("net/ipv4/ip_forward").value(), "1");
}

NAMESPACE_TEST(Sysctl, device_names_may_have_dots) {
  shell("ip link add eth0.100 type veth peer name peer0");
  EXPECT_TRUE(read_sysctl("net/ipv4/conf/eth0.100/rp_filter").ok());
}

TEST(Sysctl, names_what_is_missing_and_what_is_refused) {
  const absl::Status missing = read_sysctl("net/ipv4/conf/absent0/rp_filter").status();
  EXPECT_TRUE(absl::IsNotFound(missing));
  EXPECT_THAT(missing.ToString(), HasSubstr("net/ipv4/conf/absent0/rp_filter"));
  EXPECT_FALSE(write_sysctl("kernel/ostype", "x").ok());  // read-only for everybody
}

}  // namespace
}  // namespace vipgate
