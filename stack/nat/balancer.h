#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "nat/backend_load.h"
#include "nat/balance_entry.h"
#include "nat/rendezvous.h"
#include "vipgate/address.h"
#include "vipgate/rules.h"

namespace vipgate {

/// All that balancing goes by, but for loads: the same input chooses alike, and needs the same tables.
struct BalanceInput {
  Balance balance = Balance::maglev;
  Affinity affinity = Affinity::none;
  std::vector<BalanceEntry> entries;  ///< by backend; weight 0: takes no new flow at present

  /// What the service's backends, in their present states, come to.
  static BalanceInput of(const Service& service);

  bool operator==(const BalanceInput&) const = default;
};

/// Chooses backends for new flows. Does not allocate or wait; workers share one, and rulesets too, as long as the input
/// stays the same.
///
/// Balance::maglev has a table of Maglev where there are many backends. Up to kFew there is none: rendezvous hashing
/// takes 2 ns a backend, 9 where weights differ, and is better otherwise. It needs no memory and no set-up, its shares
/// are exact, and it keeps what tables of 100 slots a backend cannot (of which 2 to 5 % more move, and all when the
/// size changes): with one of N backends come or gone, no more than its share of the clients moves.
///
/// Balance::least_connections looks at every backend, at 5 ns each.
class Balancer {
 public:
  static constexpr std::size_t kFew = 128;  ///< backends of a service, in whatever states

  explicit Balancer(BalanceInput input);

  const BalanceInput& input() const { return input_; }

  /// The backend for a new flow of the client, where the client alone decides; none where turns or loads do.
  std::optional<std::uint16_t> foresee(const Endpoint& client) const;
  /// The index of the backend for a new flow; none where no backend takes any. `loads`: by backend.
  std::optional<std::uint16_t> choose(const Endpoint& client,
                                      std::span<const std::shared_ptr<BackendLoad>> loads) const;

 private:
  // Each chooses among `takers_`.
  std::size_t choose_by_client(const Endpoint& client) const;
  std::size_t take_turn() const;
  std::size_t choose_least(std::span<const std::shared_ptr<BackendLoad>> loads) const;

  BalanceInput input_;
  std::vector<BalanceEntry> takers_;     ///< the entries with weight
  std::vector<std::uint16_t> backends_;  ///< their indices
  std::vector<std::uint16_t> table_;     ///< of Maglev, or turns: indices into the two; none where it is not needed
  std::optional<Rendezvous> lots_;       ///< in place of a table
  mutable std::atomic<std::uint64_t> turns_taken_ = 0;
};

}  // namespace vipgate
