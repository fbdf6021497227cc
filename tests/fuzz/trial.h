#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "fuzz/gateway.h"
#include "fuzz/watch.h"

namespace vipgate::fuzz {

/// One course of events, for three gateways that must all do the same: one worker that gets packet after packet, one
/// that gets them in batches, and four among whom packets are dealt out at will.
class Trial {
 public:
  /// The rules, here and in reload(), are some of rulesets(). `batch`: packets at once, 1 to Engine::kMaxBatch.
  Trial(const Rules& rules, std::size_t batch);

  /// What the first gateway makes of it. `worker`: which of the four gets it.
  Fate send(const Datagram& packet, std::uint32_t worker);

  /// Time goes by. `with_timers`: the engines run meanwhile; else they learn of it with the next packet.
  void pass_time(Duration duration, bool with_timers);
  void reload(const Rules& rules);

  /// Nobody says anything for a long time: nothing is left, and new flows go through.
  void end();

 private:
  struct Pending {
    Datagram packet;
    std::uint32_t worker;
    Fate fate;  ///< at the first gateway
  };

  void ask(std::string_view who, std::string_view whom, Protocol protocol);
  void run_all();
  void flush();
  void compare_counters() const;

  const Rules* rules_;
  Gateway one_;
  Gateway batched_;
  Gateway four_;
  Watch watch_;
  std::size_t batch_;
  std::vector<Pending> pending_;
  Time now_{std::chrono::seconds(10)};
};

}  // namespace vipgate::fuzz
