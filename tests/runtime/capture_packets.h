#pragma once

#include "support/packet_builder.h"
#include "vipgate/engine.h"

namespace vipgate::test {

/// A VIP with a web server for some and a name server, which captures see.
inline Rules captured_rules() {
  const auto served = [](const char* name, Protocol protocol, std::uint16_t port, const char* backend_name) {
    Service service;
    service.name = name;
    service.protocols = {protocol};
    service.ports = {{port, port}};
    Backend backend;
    backend.name = backend_name;
    backend.address = address("10.0.0.2");
    backend.port = static_cast<std::uint16_t>(port + 8000);
    service.backends = {backend};
    return service;
  };
  Vip vip;
  vip.address = address("203.0.113.10");
  vip.services = {served("web", Protocol::tcp, 80, "a"), served("dns", Protocol::udp, 53, "b")};
  vip.services[0].deny = {*Ipv4Prefix::parse("192.0.2.0/24")};
  Rules rules;
  rules.vips = {vip};
  rules.masquerade = {address("203.0.113.14")};
  return rules;
}

}  // namespace vipgate::test
