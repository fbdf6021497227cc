#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>

#include "flow/flow_samples.h"
#include "nat/source_port.h"

// What it takes to find a source port toward one backend, by how many of the shard's 1,008 are in use.

namespace {

using namespace vipgate;

constexpr std::uint8_t kShard = 37;
constexpr Time kNow{std::chrono::seconds(100'000)};

SourceRequest request_of(std::uint32_t client) {
  return {.protocol = Protocol::tcp,
          .client = {Ipv4Address(0xc6330000 + client / 50'000), static_cast<std::uint16_t>(1024 + client % 50'000)},
          .backend = {Ipv4Address(0x0a000002), 8080},
          .source = Ipv4Address(0xcb00710e),
          .shard = kShard,
          .syn = nullptr};
}

void source_ports(benchmark::State& state) {
  test::FlowStorage storage(4096);
  FlowTable table(storage.records, storage.buckets, KeyedHash(1));
  PortPools pools;
  const KeyedHash hash(2);
  std::uint32_t client = 0;
  for (; client < static_cast<std::uint32_t>(state.range(0)); ++client) {
    const SourceRequest request = request_of(client);
    FlowRecord flow{};
    flow.protocol = request.protocol;
    flow.original = {request.client.address, Ipv4Address(0xcb00710a), request.client.port, 80};
    flow.reply = {request.backend.address, request.source, request.backend.port,
                  choose_masquerade_port(request, table, pools, hash, kNow)->port};
    flow.flow_class = FlowClass::live;
    flow.last_seen = kNow;
    table.insert(flow, std::chrono::seconds(240));
  }
  for (auto _ : state) benchmark::DoNotOptimize(choose_masquerade_port(request_of(client++), table, pools, hash, kNow));
}
BENCHMARK(source_ports)->Arg(0)->Arg(504)->Arg(998)->Arg(1007);

}  // namespace
