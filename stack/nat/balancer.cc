#include "nat/balancer.h"

#include <algorithm>
#include <utility>

#include "flow/hash.h"
#include "nat/maglev.h"
#include "nat/turns.h"

namespace vipgate {
namespace {

/// Balancing must not change from start to start or from gateway to gateway, so its hash has a fixed key.
constexpr std::uint64_t kBalanceSeed = 3;

std::uint64_t key_of(const Backend& backend) {
  return std::uint64_t{backend.address.value()} << 16 | backend.port.value_or(0);
}

bool takes_new_flows(const Backend& backend) {
  return !backend.down && !backend.drained && backend.weight > 0;
}

}  // namespace

BalanceInput BalanceInput::of(const Service& service) {
  const bool needs_backups = std::none_of(service.backends.begin(), service.backends.end(), [](const Backend& backend) {
    return takes_new_flows(backend) && !backend.backup;
  });
  BalanceInput input{.balance = service.balance, .affinity = service.affinity, .entries = {}};
  input.entries.reserve(service.backends.size());
  for (const Backend& backend : service.backends) {
    const bool takes_part = takes_new_flows(backend) && backend.backup == needs_backups;
    input.entries.push_back({key_of(backend), takes_part ? backend.weight : 0});
  }
  return input;
}

Balancer::Balancer(BalanceInput input) : input_(std::move(input)) {
  for (std::size_t i = 0; i < input_.entries.size(); ++i) {
    if (input_.entries[i].weight == 0) continue;
    takers_.push_back(input_.entries[i]);
    backends_.push_back(static_cast<std::uint16_t>(i));
  }
  if (takers_.size() < 2) return;
  if (input_.balance != Balance::maglev) {
    table_ = turns_by_weight(takers_);
  } else if (input_.entries.size() > kFew) {
    table_ = maglev_table(takers_);
  } else {
    lots_.emplace(takers_);
  }
}

std::optional<std::uint16_t> Balancer::foresee(const Endpoint& client) const {
  if (takers_.size() == 1) return backends_.front();
  if (takers_.empty() || input_.balance != Balance::maglev) return std::nullopt;
  return backends_[choose_by_client(client)];
}

std::optional<std::uint16_t> Balancer::choose(const Endpoint& client,
                                              std::span<const std::shared_ptr<BackendLoad>> loads) const {
  if (takers_.size() > 1 && input_.balance == Balance::round_robin) return backends_[take_turn()];
  if (takers_.size() > 1 && input_.balance == Balance::least_connections) return backends_[choose_least(loads)];
  return foresee(client);
}

std::size_t Balancer::choose_by_client(const Endpoint& client) const {
  const KeyedHash hash_of(kBalanceSeed);
  const std::uint64_t hash = input_.affinity == Affinity::client ? hash_of(client.address.value()) : hash_of(client);
  return table_.empty() ? lots_->choose(hash) : table_[hash % table_.size()];
}

std::size_t Balancer::take_turn() const {
  return table_[turns_taken_.fetch_add(1, std::memory_order_relaxed) % table_.size()];
}

/// The backend with the fewest flows for its weight; among equals the one whose turn it is, or the next after it.
std::size_t Balancer::choose_least(std::span<const std::shared_ptr<BackendLoad>> loads) const {
  std::size_t best = take_turn();
  std::uint64_t least = loads[backends_[best]]->flows();
  for (std::size_t step = 1, i = best + 1; step < takers_.size(); ++step, ++i) {
    if (i == takers_.size()) i = 0;
    const std::uint64_t flows = loads[backends_[i]]->flows();
    if (flows * takers_[best].weight >= least * takers_[i].weight) continue;
    best = i;
    least = flows;
  }
  return best;
}

}  // namespace vipgate
