#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/doctor/firewall.h"

namespace vipgate::doctor {

/// A packet, or many alike: what is not known of them is left as wide as it may be.
struct Sample {
  std::string incoming{};  ///< device; empty: it is this host's own
  std::string outgoing{};  ///< empty: it is for this host, or that is not decided yet
  Interval source{};
  Interval destination{};
  Interval protocol{0, 255};
  Interval source_port{0, 65535};
  Interval destination_port{0, 65535};
  std::string state = "new";                 ///< of connection tracking
  std::optional<bool> to_this_host = false;  ///< the destination is an address of this host
};

/// Whether a condition holds for packets like this one: for all, for none, or for some, as far as is known.
enum class Match : std::uint8_t { no, maybe, yes };
Match match(const Condition& condition, const Sample& sample);

/// What becomes of packets in a base chain.
struct Fate {
  bool passes = false;  ///< some may be accepted
  bool drops = false;   ///< those that nothing unknown decides about are dropped
  /// By this rule, else by the policy. It belongs to the table that was walked.
  const Rule* dropped_by = nullptr;
  bool untracked = false;                           ///< all are
  std::vector<const Rule*> disguised_by{};          ///< these change the source of all of them
  std::vector<const Rule*> translated_by{};         ///< these change the destination of all of them
  std::vector<const Rule*> partly_translated_by{};  ///< of some

  bool all_dropped() const { return drops && !passes; }
  bool some_dropped() const { return drops && passes; }
};

/// Walks a base chain and all that it jumps to.
Fate walk(const Table& table, const Chain& base, const Sample& sample);

}  // namespace vipgate::doctor
