#include <cstddef>
#include <cstdint>

#include "fuzz/input.h"
#include "fuzz/peers.h"
#include "fuzz/rules.h"
#include "fuzz/trial.h"

// A course of events: traffic of clients, backends and private hosts, errors, fragments, time, new rules. The input:
//
//     1 byte     packets in a batch, and the rules to begin with
//     the rest   events, as Peers reads them

namespace vipgate::fuzz {
namespace {

constexpr int kMaxEvents = 200;

void run(Input input) {
  const std::uint8_t start = input.byte();
  const auto& rules = rulesets();
  Trial trial(rules[start >> 5 & 3U], 1 + start % Engine::kMaxBatch);
  Peers peers(trial, input);
  for (int event = 0; event < kMaxEvents && !input.empty(); ++event) peers.act();
  trial.end();
}

}  // namespace
}  // namespace vipgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  vipgate::fuzz::run(vipgate::fuzz::Input({data, size}));
  return 0;
}
