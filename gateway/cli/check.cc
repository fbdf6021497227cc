#include <iostream>

#include "absl/strings/str_cat.h"
#include "cli/commands.h"
#include "config/load.h"

namespace vipgate {
namespace {

std::string describe_ports(const Service& service) {
  if (service.wildcard) return "*";
  std::string text;
  for (const PortRange& ports : service.ports) {
    absl::StrAppend(&text, text.empty() ? "" : ",", ports.first);
    if (ports.last != ports.first) absl::StrAppend(&text, "-", ports.last);
  }
  return text;
}

std::string describe_protocols(const Service& service) {
  std::string text;
  for (const Protocol protocol : service.protocols) {
    absl::StrAppend(&text, text.empty() ? "" : "+", protocol == Protocol::tcp ? "tcp" : "udp");
  }
  return text;
}

void print_summary(const Config& config) {
  std::cout << "device " << config.tun.name;
  for (const Ipv4Prefix& subnet : config.rules.subnets) std::cout << ' ' << subnet.to_string();
  std::cout << "\nmasquerade";
  for (const Ipv4Address address : config.rules.masquerade) std::cout << ' ' << address.to_string();
  std::cout << '\n';
  for (const Vip& vip : config.rules.vips) {
    std::cout << "vip " << name_of(vip) << '\n';
    for (const Service& service : vip.services) {
      std::cout << "  " << service.name << ": " << describe_protocols(service) << ' ' << describe_ports(service)
                << " ->";
      for (const Backend& backend : service.backends) {
        std::cout << ' ' << backend.address.to_string();
        if (backend.port) std::cout << ':' << *backend.port;
        if (backend.weight != 1) std::cout << " weight " << backend.weight;
      }
      std::cout << (service.source == SourceMode::preserve ? " (clients' addresses preserved)" : "")
                << (service.helper == Helper::ftp ? " (FTP)" : "") << '\n';
    }
  }
  for (const Egress& egress : config.rules.egress) {
    std::cout << "egress " << egress.from.to_string() << " as " << egress.as.to_string();
    const char* separator = " except to ";
    for (const Ipv4Prefix& except : egress.except) {
      std::cout << separator << except.to_string();
      separator = ", ";
    }
    std::cout << '\n';
  }
}

}  // namespace

ExitCode check(const CheckCommand& command) {
  const LoadResult loaded = load_config(command.config_file);
  for (const std::string& error : loaded.errors) std::cerr << error << '\n';
  if (!loaded.config) return kWrongInput;
  print_summary(*loaded.config);
  return kDone;
}

}  // namespace vipgate
