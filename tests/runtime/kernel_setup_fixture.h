#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "fake_kernel.h"
#include "kernel_example.h"
#include "runtime/kernel_setup.h"
#include "support/temporary_folder.h"

namespace vipgate {

class KernelSetupTest : public ::testing::Test {
 protected:
  Config config(SourceMode source = SourceMode::preserve) const {
    Config config = example_config(source);
    config.flows.state_dir = folder_.path() + "/state";
    return config;
  }

  bool has_state_file() const { return std::filesystem::exists(folder_.path() + "/state/kernel.state"); }

  std::unique_ptr<KernelSetup> make(FakeKernel& kernel) {
    log_.clear();
    return std::make_unique<KernelSetup>(kernel, [this](const std::string& line) { log_.push_back(line); });
  }

  test::TemporaryFolder folder_;
  std::vector<std::string> log_;
};

inline void add_tun(FakeKernel& kernel, int index = 4) {
  kernel.link_list.push_back({.index = index, .name = "tun0", .kind = "tun", .mtu = 1500});
  for (const char* name : {"rp_filter", "forwarding", "accept_local"})
    kernel.sysctls[std::string("net/ipv4/conf/tun0/") + name] = "0";
  kernel.sysctls["net/ipv6/conf/tun0/disable_ipv6"] = "0";
}

inline FakeKernel host() {
  FakeKernel kernel;
  kernel.link_list = {{.index = 1, .name = "lo", .up = true, .loopback = true},
                      {.index = 2, .name = "eth0", .up = true},
                      {.index = 3, .name = "eth1", .up = true}};
  kernel.address_list = {{"eth1", ip("10.0.0.1"), net("10.0.0.0/24"), AddressScope::global}};
  kernel.route_list = {
      {.destination = net("10.0.0.0/24"), .device = "eth1", .protocol = kByKernel},
      {.destination = net("192.0.2.0/24"), .device = "eth1", .protocol = 86}};  // same number, but not our device
  kernel.rule_list = {{.priority = 32766, .table = kMainTable, .protocol = kByKernel},
                      {.priority = 100, .incoming = "eth0", .table = 10, .protocol = 3}};
  kernel.sysctls = {{"net/ipv4/ip_forward", "0"},
                    {"net/ipv4/conf/all/rp_filter", "0"},
                    {"net/ipv4/conf/all/accept_redirects", "0"},  // against the default of a host
                    {"net/ipv4/conf/default/forwarding", "0"},
                    {"net/ipv4/conf/eth0/forwarding", "1"},  // set alone
                    {"net/ipv4/conf/eth1/forwarding", "0"}};
  return kernel;
}

inline FakeKernel host_with_tun() {
  FakeKernel kernel = host();
  add_tun(kernel);
  return kernel;
}

}  // namespace vipgate
