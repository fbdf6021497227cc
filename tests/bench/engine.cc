#include <benchmark/benchmark.h>

#include <chrono>
#include <random>

#include "bench/connections.h"

// What the engine costs, one core. As RFC 9693 has it: the table is filled first, then packets of random connections
// are measured, in both directions. Only calls of Engine::process() are timed; packets are in the cache, as those are
// that were just read.

namespace {

using namespace vipgate;
using namespace vipgate::bench;

/// Seconds that a batch takes. `state` fails unless all of it was forwarded.
double process_timed(Connections& connections, benchmark::State& state) {
  const auto began = std::chrono::steady_clock::now();
  const std::size_t forwarded = connections.process();
  const auto ended = std::chrono::steady_clock::now();
  if (forwarded != Engine::kMaxBatch) state.SkipWithError("a packet was not forwarded");
  return std::chrono::duration<double>(ended - began).count();
}

/// So many items an iteration: their number a second, and the time that each takes.
void say_items(benchmark::State& state, std::size_t items) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(items));
  state.counters["each"] = benchmark::Counter(
      static_cast<double>(items), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void packets_of_known_flows(benchmark::State& state) {
  const auto flows = static_cast<std::size_t>(state.range(0));
  Connections connections(flows, SourceMode::preserve, 1);
  if (connections.fill(flows) != flows) state.SkipWithError("the table did not take all flows");
  std::mt19937 random(1);
  for (auto _ : state) {
    for (std::size_t i = 0; i < Engine::kMaxBatch; ++i) {
      const std::size_t number = random();
      const std::size_t one = (number >> 1) % flows;
      (number & 1) != 0 ? connections.ack(i, one) : connections.answer(i, one);
    }
    state.SetIterationTime(process_timed(connections, state));
  }
  say_items(state, Engine::kMaxBatch);
}
BENCHMARK(packets_of_known_flows)->Arg(1'024)->Arg(100'000)->Arg(1'000'000)->Arg(4'000'000)->UseManualTime();

/// New connections into a table that is empty at first and full to 80 % in the end.
void set_ups(benchmark::State& state, SourceMode source) {
  constexpr std::size_t kConnections = 1 << 20;
  for (auto _ : state) {
    Connections connections(kConnections, source, 32);
    double seconds = 0;
    for (std::size_t first = 0; first < kConnections; first += Engine::kMaxBatch) {
      for (std::size_t i = 0; i < Engine::kMaxBatch; ++i) connections.syn(i, first + i);
      seconds += process_timed(connections, state);
    }
    state.SetIterationTime(seconds);
  }
  say_items(state, kConnections);
}
BENCHMARK_CAPTURE(set_ups, preserve, SourceMode::preserve)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(set_ups, masquerade, SourceMode::masquerade)->UseManualTime()->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
