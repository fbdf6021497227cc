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

NAMESPACE_TEST(Sysctl, a_value_is_read_whole_and_can_be_emptied) {
  const std::string key = "net/ipv4/ip_local_reserved_ports";
  std::string ports;
  for (int port = 1001; port < 2000; port += 2) ports += (ports.empty() ? "" : ",") + std::to_string(port);
  ASSERT_GT(ports.size(), 2000U);
  ASSERT_TRUE(write_sysctl(key, ports).ok());
  EXPECT_EQ(read_sysctl(key).value(), ports);
  ASSERT_TRUE(write_sysctl(key, "").ok());
  EXPECT_EQ(read_sysctl(key).value(), "");
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
