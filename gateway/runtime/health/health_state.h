#pragma once

#include <cstdint>
#include <optional>

#include "runtime/health/flap_damping.h"
#include "vipgate/time.h"

namespace vipgate {

enum class Health : std::uint8_t {
  up,
  held,  ///< passes its checks again, but went up and down too often to be trusted: better than none
  down,
};

/// What checks say about a backend, one result after the other. No clock: whoever calls says what time it is.
///
/// A backend is up until a check says otherwise, so that neither a start nor a reload interrupts anything. Until its
/// first passed check, though, one result is enough either way: the first failed check takes it down and the first
/// passed one brings it up (HAProxy begins so, and Envoy ends so). From then on `fall` failed checks, one after the
/// other, take it down, and `rise` passed ones bring it up.
class CheckedHealth {
 public:
  struct Thresholds {
    std::uint32_t rise = 2;
    std::uint32_t fall = 3;
  };

  /// `state`: what is known of it already, up or down.
  CheckedHealth(Thresholds thresholds, Health state, Time now)
      : thresholds_(thresholds), state_(state == Health::up ? state : Health::down), since_(now) {}

  /// The result of a check. True: state() is another one now.
  bool passed(Time now);
  bool failed(Time now);

  Health state() const { return state_; }
  Time since() const { return since_; }                 ///< when it became so
  std::uint32_t in_a_row() const { return in_a_row_; }  ///< equal results at the end
  /// Until when passed checks do not make it up; may be over.
  Time held_until() const { return held_until_; }

 private:
  void count(bool passed);
  bool change(Health state, Time now);

  Thresholds thresholds_;
  Health state_;
  Time since_;
  bool proven_ = false;  ///< has passed a check
  bool last_passed_ = false;
  std::uint32_t in_a_row_ = 0;
  FlapDamping damping_;
  Time held_until_{};
};

/// What ICMP errors say about a backend that is not checked. `fall` of them, each within an interval of the one before,
/// take it down for a while; then it is tried again, for longer and longer pauses where that does not help. Linux sends
/// one such error a second and no more (icmp_ratelimit), after the first six: there are few to go by.
class WatchedHealth {
 public:
  struct Thresholds {
    std::uint32_t fall = 3;
    Duration interval{};
  };
  static constexpr Duration kFirstPause = FlapDamping::kFirstHold;

  WatchedHealth(Thresholds thresholds, Time now) : thresholds_(thresholds), since_(now) {}

  /// So many signs have come since the last call. True: it is down now, and was not.
  bool take(std::uint64_t signs, Time now);
  /// To be called when down_until() has come. True: it is up again.
  bool try_again(Time now);

  Health state() const { return down_until_ ? Health::down : Health::up; }
  Time since() const { return since_; }
  std::optional<Time> down_until() const { return down_until_; }

 private:
  Thresholds thresholds_;
  Time since_;
  Time last_sign_{};
  std::uint64_t signs_ = 0;  ///< none of them later than an interval after the one before
  std::optional<Time> down_until_;
  FlapDamping damping_;
};

}  // namespace vipgate
