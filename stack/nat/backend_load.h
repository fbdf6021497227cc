#pragma once

#include <atomic>
#include <cstdint>

#include "vipgate/backend_signs.h"

namespace vipgate {

/// What one backend of a service carries, and what is seen of it. Outlives the rulesets that name the backend; workers
/// count in it and the control thread reads it, each with single atomic steps.
class alignas(64) BackendLoad {
 public:
  void add_flow() { flows_.fetch_add(1, kRelaxed); }
  void remove_flow() { flows_.fetch_sub(1, kRelaxed); }
  void note_opened() { opened_.fetch_add(1, kRelaxed); }
  void note_refused() { refused_.fetch_add(1, kRelaxed); }
  void note_unanswered() { unanswered_.fetch_add(1, kRelaxed); }

  void note_to_backend(const Traffic& traffic) { to_backend_.add(traffic); }
  void note_from_backend(const Traffic& traffic) { from_backend_.add(traffic); }

  std::uint64_t flows() const { return flows_.load(kRelaxed); }
  BackendSigns signs() const {
    return {.opened = opened_.load(kRelaxed),
            .flows = flows(),
            .refused = refused_.load(kRelaxed),
            .unanswered = unanswered_.load(kRelaxed),
            .to_backend = to_backend_.load(),
            .from_backend = from_backend_.load()};
  }
  void add_past(const BackendSigns& earlier) {
    opened_.fetch_add(earlier.opened, kRelaxed);
    refused_.fetch_add(earlier.refused, kRelaxed);
    unanswered_.fetch_add(earlier.unanswered, kRelaxed);
    to_backend_.add(earlier.to_backend);
    from_backend_.add(earlier.from_backend);
  }

 private:
  static constexpr auto kRelaxed = std::memory_order_relaxed;
  using Counter = std::atomic<std::uint64_t>;
  struct TrafficCounter {
    Counter packets = 0;
    Counter bytes = 0;

    void add(const Traffic& traffic) {
      packets.fetch_add(traffic.packets, kRelaxed);
      bytes.fetch_add(traffic.bytes, kRelaxed);
    }
    Traffic load() const { return {packets.load(kRelaxed), bytes.load(kRelaxed)}; }
  };

  Counter flows_ = 0;
  Counter opened_ = 0;
  Counter refused_ = 0;
  Counter unanswered_ = 0;
  TrafficCounter to_backend_;
  TrafficCounter from_backend_;
};

}  // namespace vipgate
