#pragma once

#include <cstdint>

namespace vipgate {

class Ruleset;

/// Packets that were forwarded, as the TUN carries them: a super-packet is one. Bytes with IP headers.
struct Traffic {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;

  bool operator==(const Traffic&) const = default;
};

/// What the data path has seen of one backend of one service. All but `flows` only grow, also over rulesets of which
/// each was compiled with the one before it.
struct BackendSigns {
  std::uint64_t opened = 0;      ///< flows
  std::uint64_t flows = 0;       ///< at present: all that are not closed
  std::uint64_t refused = 0;     ///< RSTs that answered a SYN, and ICMP unreachable about what was sent to the backend
  std::uint64_t unanswered = 0;  ///< SYNs that came again without an answer, and flows that ended so
  Traffic to_backend{};
  Traffic from_backend{};

  bool operator==(const BackendSigns&) const = default;
};

/// Indices as in Verdict. May be asked from any thread at any time; the counts are those of nearly one moment.
BackendSigns signs_of(const Ruleset& ruleset, std::uint16_t service, std::uint16_t backend);

/// Has the counts of the past go on: adds those of `earlier`, all but `flows`, which are those that are there.
void continue_signs(const Ruleset& ruleset, std::uint16_t service, std::uint16_t backend, const BackendSigns& earlier);

/// Has `to` know of the flows that limits count what `from`, which has the same rules, knows at the moment.
void lend_counts(const Ruleset& from, const Ruleset& to);

}  // namespace vipgate
