#include <cstdlib>
#include <iostream>
#include <string_view>

#include "bench/connections.h"

// The same work as in engine.cc, a given number of times, for a program that counts instructions:
// bench_steps packet|set-up COUNT. COUNT is a multiple of 32.

namespace {

using namespace vipgate;
using namespace vipgate::bench;

constexpr std::size_t kFlows = 8192;

std::size_t packets(std::size_t count) {
  Connections connections(kFlows, SourceMode::preserve, 1);
  connections.fill(kFlows);
  std::size_t forwarded = 0;
  for (std::size_t first = 0; first < count; first += Engine::kMaxBatch) {
    for (std::size_t i = 0; i < Engine::kMaxBatch; ++i) {
      const std::size_t one = (first + i) * 7 % kFlows;
      i % 2 == 0 ? connections.ack(i, one) : connections.answer(i, one);
    }
    forwarded += connections.process();
  }
  return forwarded;
}

std::size_t set_ups(std::size_t count) {
  Connections connections(count, SourceMode::masquerade, 32);
  std::size_t forwarded = 0;
  for (std::size_t first = 0; first < count; first += Engine::kMaxBatch) {
    for (std::size_t i = 0; i < Engine::kMaxBatch; ++i) connections.syn(i, first + i);
    forwarded += connections.process();
  }
  return forwarded;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::size_t count = std::strtoul(argv[2], nullptr, 10);
  const std::size_t forwarded = argv[1] == std::string_view("packet") ? packets(count) : set_ups(count);
  if (forwarded == count) return 0;
  std::cerr << forwarded << " of " << count << " were forwarded\n";
  return 1;
}
