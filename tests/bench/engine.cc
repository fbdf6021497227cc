#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <cstring>
#include <iostream>
#include <random>
#include <vector>

#include "runtime/flow_storage.h"
#include "support/packet_builder.h"
#include "vipgate/engine.h"

// What the engine costs, one core, in the memory that the gateway uses. As RFC 9693 has it: the table is filled first,
// then packets of random flows are measured, in both directions. Only calls of Engine::process() are timed; packets are
// in the cache, as those are that were just read, and a virtio header vouches for their transport checksum.

namespace {

using namespace vipgate;
using namespace vipgate::test;

constexpr Endpoint kVip{Ipv4Address(203 << 24 | 113 << 8 | 10), 443};
constexpr Ipv4Address kMasquerade(203 << 24 | 113 << 8 | 14);
constexpr std::uint16_t kBackendPort = 8443;
constexpr Time kNow{std::chrono::hours(1)};
constexpr std::size_t kHeaders = 40;
constexpr std::size_t kClientPorts = 50'000;
constexpr std::size_t kSlack = 64;  // flows: how unevenly a few of them fill the shards

class Nowhere final : public PacketSink {
 public:
  void send(const Packet& /*packet*/) override {}
};

Endpoint client(std::size_t flow) {
  return {Ipv4Address(static_cast<std::uint32_t>((11U << 24) + flow / kClientPorts)),
          static_cast<std::uint16_t>(1024 + flow % kClientPorts)};
}

Ipv4Address backend(std::size_t index) {
  return Ipv4Address(static_cast<std::uint32_t>((10U << 24) + 1 + index));
}

Rules rules(SourceMode source, std::size_t backends) {
  Service service{.name = "web",
                  .protocols = {Protocol::tcp},
                  .ports = {{kVip.port, kVip.port}},
                  .source = source,
                  .masquerade = {},
                  .idle_timeout = {},
                  .backends = {}};
  for (std::size_t i = 0; i < backends; ++i) {
    Backend one;
    one.name = backend(i).to_string();
    one.address = backend(i);
    one.port = kBackendPort;
    service.backends.push_back(one);
  }
  Vip vip;
  vip.address = kVip.address;
  vip.services = {service};
  Rules all;
  all.vips = {vip};
  all.masquerade = {kMasquerade};
  return all;
}

/// Room for packets, and what the engine says of them.
class Batch {
 public:
  Batch() {
    for (std::size_t i = 0; i < packets_.size(); ++i) {
      packets_[i].bytes = std::span(memory_[i]).first(kHeaders);
      packets_[i].virtio.flags = VirtioHeader::kDataValid;
    }
  }

  /// Puts a packet in, made from one that differs in nothing but addresses and ports.
  void set(std::size_t place, std::span<const std::uint8_t> like, const Endpoint& from, const Endpoint& to) {
    std::uint8_t* bytes = memory_[place].data();
    std::memcpy(bytes, like.data(), kHeaders);
    put(bytes + 12, from.address.value());
    put(bytes + 16, to.address.value());
    put(bytes + 20, std::uint32_t{from.port} << 16 | to.port);
    bytes[10] = bytes[11] = 0;
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < 20; i += 2) sum += std::uint32_t{bytes[i]} << 8 | bytes[i + 1];
    sum = (sum >> 16) + (sum & 0xffff);
    sum += sum >> 16;
    bytes[10] = static_cast<std::uint8_t>(~sum >> 8);
    bytes[11] = static_cast<std::uint8_t>(~sum);
    packets_[place].bytes = std::span(memory_[place]).first(kHeaders);
  }

  /// Returns how many were forwarded.
  std::size_t process(Engine& engine) {
    engine.process(packets_, verdicts_, kNow, nowhere_);
    std::size_t forwarded = 0;
    for (const Verdict& verdict : verdicts_) forwarded += verdict.action == Action::forward ? 1 : 0;
    return forwarded;
  }

 private:
  static void put(std::uint8_t* at, std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) *at++ = static_cast<std::uint8_t>(value >> shift);
  }

  struct alignas(64) Room : std::array<std::uint8_t, 64 + kSpareRoom> {};
  std::array<Room, Engine::kMaxBatch> memory_{};
  std::array<Packet, Engine::kMaxBatch> packets_;
  std::array<Verdict, Engine::kMaxBatch> verdicts_;
  Nowhere nowhere_;
};

/// An engine with room for a number of flows, and the packets of its connections.
class Bench {
 public:
  Bench(std::size_t flows, SourceMode source, std::size_t backends)
      : storage_(*FlowStorage::allocate((flows * 5 / 4 / kShards + kSlack) * kShards)),
        engine_({.worker = 0, .workers = 1, .seed = 1, .memory = storage_.memory()},
                compile(rules(source, backends), 1)) {}

  void syn(std::size_t place, std::size_t flow) { batch_.set(place, syn_.bytes(), client(flow), kVip); }
  void syn_ack(std::size_t place, std::size_t flow) { batch_.set(place, syn_ack_.bytes(), kBackend, client(flow)); }
  void ack(std::size_t place, std::size_t flow) { batch_.set(place, ack_.bytes(), client(flow), kVip); }
  void answer(std::size_t place, std::size_t flow) { batch_.set(place, answer_.bytes(), kBackend, client(flow)); }

  std::size_t process() { return batch_.process(engine_); }

  /// Seconds that it took. `state` fails unless all were forwarded.
  double process_timed(benchmark::State& state) {
    const auto began = std::chrono::steady_clock::now();
    const std::size_t forwarded = process();
    const auto ended = std::chrono::steady_clock::now();
    if (forwarded != Engine::kMaxBatch) state.SkipWithError("a packet was not forwarded");
    return std::chrono::duration<double>(ended - began).count();
  }

  /// Establishes so many connections. Those whose shard is full are refused.
  void fill(std::size_t flows) {
    for (std::size_t flow = 0; flow < flows; flow += Engine::kMaxBatch) {
      for (const auto make : {&Bench::syn, &Bench::syn_ack, &Bench::ack}) {
        for (std::size_t i = 0; i < Engine::kMaxBatch; ++i) (this->*make)(i, flow + i);
        process();
      }
    }
    if (engine_.flow_count() != flows) std::cerr << "only " << engine_.flow_count() << " of " << flows << " flows\n";
  }

 private:
  static constexpr Endpoint kBackend{Ipv4Address((10U << 24) + 1), kBackendPort};

  FlowStorage storage_;
  Engine engine_;
  Batch batch_;
  WirePacket syn_ = PacketBuilder(Protocol::tcp, client(0), kVip).syn().seq(999).win(65535).build();
  WirePacket syn_ack_ = PacketBuilder(Protocol::tcp, kBackend, client(0)).syn().seq(4999).ack(1000).win(65535).build();
  WirePacket ack_ = PacketBuilder(Protocol::tcp, client(0), kVip).seq(1000).ack(5000).win(65535).build();
  WirePacket answer_ = PacketBuilder(Protocol::tcp, kBackend, client(0)).seq(5000).ack(1000).win(65535).build();
};

void packets_of_known_flows(benchmark::State& state) {
  const auto flows = static_cast<std::size_t>(state.range(0));
  Bench bench(flows, SourceMode::preserve, 1);
  bench.fill(flows);
  std::mt19937 random(1);
  for (auto _ : state) {
    for (std::size_t i = 0; i < Engine::kMaxBatch; ++i) {
      const std::size_t number = random();
      const std::size_t flow = (number >> 1) % flows;
      (number & 1) != 0 ? bench.ack(i, flow) : bench.answer(i, flow);
    }
    state.SetIterationTime(bench.process_timed(state));
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * Engine::kMaxBatch));
  state.counters["each"] = benchmark::Counter(
      Engine::kMaxBatch, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK(packets_of_known_flows)->Arg(1'024)->Arg(100'000)->Arg(1'000'000)->Arg(4'000'000)->UseManualTime();

/// New connections into a table that is empty at first and full to 80 % in the end.
void set_ups(benchmark::State& state, SourceMode source) {
  constexpr std::size_t kFlows = 1 << 20;
  for (auto _ : state) {
    Bench bench(kFlows, source, 32);
    double seconds = 0;
    for (std::size_t flow = 0; flow < kFlows; flow += Engine::kMaxBatch) {
      for (std::size_t i = 0; i < Engine::kMaxBatch; ++i) bench.syn(i, flow + i);
      seconds += bench.process_timed(state);
    }
    state.SetIterationTime(seconds);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * kFlows);
  state.counters["each"] =
      benchmark::Counter(kFlows, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK_CAPTURE(set_ups, preserve, SourceMode::preserve)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(set_ups, masquerade, SourceMode::masquerade)->UseManualTime()->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
