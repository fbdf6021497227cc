#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "config/load.h"
#include "runtime/clock.h"
#include "runtime/flow_storage.h"
#include "support/packet_builder.h"

// Puts flows into the file of a gateway that is not running: fill_flows CONFIGURATION COUNT. They are answered
// datagrams to the first service of the first VIP, which is of UDP and preserves its clients: those of 11.0.0.0/8.

namespace {

using namespace vipgate;
using namespace vipgate::test;

class Nowhere final : public PacketSink {
  void send(const Packet& /*packet*/) override {}
};

std::string fill(const std::string& file, std::size_t count) {
  const LoadResult loaded = load_config(file);
  if (!loaded.config) return loaded.errors.front();
  const Config& config = *loaded.config;
  auto flows =
      FlowFile::open({.state_dir = config.flows.state_dir, .capacity = config.flows.max, .seed = std::nullopt});
  if (!flows.ok()) return flows.status().ToString();
  const std::uint64_t seed = flows->seed();
  auto storage = FlowStorage::over(*std::move(flows));
  if (!storage.ok()) return storage.status().ToString();

  Engine engine({.worker = 0, .workers = 1, .seed = seed, .memory = storage->memory()}, compile(config.rules, 1));
  const Time now = boot_time_now();
  engine.adopt(now);
  const Vip& vip = config.rules.vips.at(0);
  const Service& service = vip.services.at(0);
  const Endpoint target{vip.address, service.ports.at(0).first};
  const Endpoint backend{service.backends.at(0).address, target.port};
  Nowhere nowhere;
  for (std::size_t tried = 0; engine.flow_count() < count && tried < 2 * count; ++tried) {
    const Endpoint client{Ipv4Address(static_cast<std::uint32_t>(0x0b000000 + tried / 50000)),
                          static_cast<std::uint16_t>(1024 + tried % 50000)};
    WirePacket query = PacketBuilder(Protocol::udp, client, target).build();
    WirePacket answer = PacketBuilder(Protocol::udp, backend, client).build();
    for (WirePacket* wire : {&query, &answer}) {
      Packet packet = wire->packet();
      engine.process(packet, now, nowhere);
    }
  }
  std::cout << engine.flow_count() << '\n';
  return engine.flow_count() < count ? "there is no room for so many" : "";
}

}  // namespace

int main(int argc, char** argv) {
  const std::string trouble = argc == 3 ? fill(argv[1], std::strtoul(argv[2], nullptr, 10)) : "two arguments";
  if (!trouble.empty()) std::cerr << trouble << '\n';
  return trouble.empty() ? 0 : 1;
}
