#include "config/config.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "fuzz/require.h"
#include "nat/ruleset.h"

// Any bytes as a configuration: a configuration comes of them that keeps what rules.h promises to the engine, or at
// least one error that says where.

namespace vipgate::fuzz {
namespace {

constexpr std::string_view kFile = "vipgate.json";
constexpr std::size_t kMaxReported = 101;  // 100 errors, and how many more there are

/// Balancing tables take time; whether many can be made is a matter of another test.
constexpr std::size_t kMaxCompiledBackends = 64;

void check_errors(std::string_view text, const std::vector<ConfigError>& errors) {
  std::vector<std::size_t> lengths{0};  // of lines
  for (const char c : text) c == '\n' ? lengths.push_back(0) : static_cast<void>(++lengths.back());
  require(errors.size() <= kMaxReported, "at most 101 errors are reported");
  const ConfigError* before = nullptr;
  for (const ConfigError& error : errors) {
    const std::string line = format_error(kFile, error);
    require(line == std::string(kFile) + ":" + std::to_string(error.line) + ":" + std::to_string(error.column) + ": " +
                        error.what,
            "an error is printed as FILE:LINE:COLUMN: what", line);
    require(!error.what.empty(), "an error says what is wrong", line);
    require(error.line >= 1 && error.line <= lengths.size(), "an error's line is one of the text's", line);
    require(error.column >= 1 && error.column <= lengths[error.line - 1] + 1, "an error's column is in its line", line);
    require(error.what.find('\n') == std::string::npos, "an error is one line", line);
    require(before == nullptr || std::tie(before->line, before->column) <= std::tie(error.line, error.column),
            "errors are in order of place", line);
    before = &error;
  }
}

void check_service(const Rules& rules, const Service& service) {
  require(!service.name.empty(), "a service has a name");
  require(!service.protocols.empty() && service.protocols.size() <= 2, "a service has one protocol or two");
  require(std::set(service.protocols.begin(), service.protocols.end()).size() == service.protocols.size(),
          "a service has a protocol once");
  require(!service.ports.empty(), "a service has ports");
  for (std::size_t i = 0; i < service.ports.size(); ++i) {
    require(service.ports[i].first >= 1 && service.ports[i].first <= service.ports[i].last, "a port range is a range");
    require(i == 0 || service.ports[i - 1].last < service.ports[i].first, "port ranges are sorted and disjoint");
  }
  require(!service.wildcard || service.ports == std::vector{kAllPorts}, "a wildcard has all ports");
  require(!service.backends.empty(), "a service has a backend");
  const auto& sources = rules.masquerade;
  require(!service.masquerade || std::find(sources.begin(), sources.end(), *service.masquerade) != sources.end(),
          "a service's masquerade address is one of the gateway's");
  require(!service.idle_timeout || *service.idle_timeout > Duration::zero(), "a timeout is a time");
}

void check_rules(const Rules& rules) {
  std::set<Ipv4Address> ours;
  std::set<std::string> names;
  for (const Vip& vip : rules.vips) {
    require(ours.insert(vip.address).second, "a VIP is there once", vip.address.to_string());
    for (const Protocol protocol : {Protocol::tcp, Protocol::udp}) {
      std::vector<PortRange> taken;
      std::size_t wildcards = 0;
      for (const Service& service : vip.services) {
        if (std::find(service.protocols.begin(), service.protocols.end(), protocol) == service.protocols.end())
          continue;
        wildcards += service.wildcard ? 1 : 0;
        if (!service.wildcard) taken.insert(taken.end(), service.ports.begin(), service.ports.end());
      }
      std::sort(taken.begin(), taken.end());
      for (std::size_t i = 1; i < taken.size(); ++i) {
        require(taken[i - 1].last < taken[i].first, "services of a VIP do not overlap", vip.address.to_string());
      }
      require(wildcards <= 1, "a VIP has one wildcard service a protocol", vip.address.to_string());
    }
    for (const Service& service : vip.services) {
      check_service(rules, service);
      require(names.insert(service.name).second, "a service's name is its own", service.name);
    }
  }
  for (const Ipv4Address address : rules.masquerade) {
    require(ours.insert(address).second, "a masquerade address is there once and no VIP", address.to_string());
  }
  for (const Vip& vip : rules.vips) {
    for (const Service& service : vip.services) {
      for (const Backend& backend : service.backends) {
        require(!ours.contains(backend.address), "a backend is none of our addresses", backend.address.to_string());
        require(backend.port != std::uint16_t{0}, "a backend's port is not 0", backend.name);
      }
    }
  }
  for (const Egress& egress : rules.egress) {
    const bool known =
        std::any_of(rules.vips.begin(), rules.vips.end(), [&](const Vip& vip) { return vip.address == egress.as; });
    require(known, "egress leaves with a VIP", egress.as.to_string());
  }
  require(!rules.vips.empty() && !names.empty(), "there is a VIP with a service");
  require(!rules.masquerade.empty() || rules.vips.empty(), "there is an address to masquerade with");
}

/// What the engine would make of it.
void check_compiled(const Rules& rules) {
  std::size_t backends = 0;
  for (const Vip& vip : rules.vips) {
    for (const Service& service : vip.services) backends += service.backends.size();
  }
  if (backends > kMaxCompiledBackends) return;
  const auto ruleset = compile(rules, 1);
  std::uint16_t index = 0;
  for (std::size_t vip = 0; vip < rules.vips.size(); ++vip) {
    for (const Service& service : rules.vips[vip].services) {
      require(service_at(*ruleset, index).name == service.name, "a service keeps its place", service.name);
      for (const Protocol protocol : service.protocols) {
        if (service.wildcard) continue;
        for (const PortRange& range : service.ports) {
          for (const std::uint16_t port : {range.first, range.last}) {
            const auto found = ruleset->find_service(static_cast<std::uint16_t>(vip), protocol, port);
            require(found == index, "a service is found at its ports", service.name);
          }
        }
      }
      const bool takes_flows = std::any_of(service.backends.begin(), service.backends.end(),
                                           [](const Backend& backend) { return backend.weight != 0; });
      const auto chosen = ruleset->choose_backend(index, {Ipv4Address(0xc6336407), 40000});
      require(chosen.has_value() == takes_flows, "a backend is chosen where one takes flows", service.name);
      require(!chosen || service.backends.at(*chosen).weight != 0, "a chosen backend takes flows", service.name);
      ++index;
    }
  }
}

void check_config(const Config& config) {
  require(config.tun.workers <= 64, "at most 64 workers");
  require(!config.tun.name.empty() && config.tun.name.size() < 16, "a device name fits the kernel");
  require(config.tun.mtu >= 68 && config.tun.mtu <= kMaxPacketSize, "an MTU that IPv4 allows");
  check_rules(config.rules);
  check_compiled(config.rules);
}

}  // namespace
}  // namespace vipgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vipgate;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ConfigResult result = parse_config(text);
  fuzz::require(result.config.has_value() == result.errors.empty(), "a configuration, or errors");
  fuzz::check_errors(text, result.errors);
  if (result.config) fuzz::check_config(*result.config);
  return 0;
}
