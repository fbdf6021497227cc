#include "nat/service_load.h"

#include <algorithm>
#include <limits>

namespace vipgate {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

/// Requests that may come at once where so many are allowed a second.
constexpr Duration kBurst = std::chrono::seconds(1);

}  // namespace

ServiceLoad::ServiceLoad(std::vector<Limits> limits)
    : limited_(limits.size()), services_(std::make_unique<Service[]>(limits.size())) {
  for (std::size_t i = 0; i < limits.size(); ++i) {
    services_[i].limits = limits[i];
    limited_[i] = limits[i] != Limits{};
    if (limits[i].flows_per_client && sketch_ == nullptr) sketch_ = std::make_unique<Counter[]>(kRows * kColumns);
  }
}

std::array<std::size_t, ServiceLoad::kRows> ServiceLoad::places_of(std::uint64_t client) {
  std::array<std::size_t, kRows> places{};
  const std::uint64_t step = client >> 32 | 1;
  for (std::size_t row = 0; row < kRows; ++row) places[row] = row * kColumns + (client + row * step) % kColumns;
  return places;
}

Reason ServiceLoad::objection(std::uint16_t service, std::uint64_t client) const {
  const Service& load = services_[service];
  if (load.limits.flows && load.flows.load(kRelaxed) >= *load.limits.flows) return Reason::service_flows;
  if (!load.limits.flows_per_client) return Reason::none;
  std::uint32_t flows = std::numeric_limits<std::uint32_t>::max();
  for (const std::size_t place : places_of(client)) flows = std::min(flows, sketch_[place].load(kRelaxed));
  return flows >= *load.limits.flows_per_client ? Reason::client_flows : Reason::none;
}

bool ServiceLoad::take_turn(std::uint16_t service, Time now) {
  Service& load = services_[service];
  if (!load.limits.new_per_second) return true;
  const Duration cost = std::max(Duration(std::chrono::seconds(1)) / *load.limits.new_per_second, Duration(1));
  const Duration::rep latest = now.time_since_epoch().count();
  Duration::rep turn = load.next_turn.load(kRelaxed);
  for (;;) {
    const Duration::rep next = std::max(turn, latest - kBurst.count()) + cost.count();
    if (next > latest) return false;
    if (load.next_turn.compare_exchange_weak(turn, next, kRelaxed)) return true;
  }
}

void ServiceLoad::add(std::uint16_t service, std::uint64_t client) {
  services_[service].flows.fetch_add(1, kRelaxed);
  if (!services_[service].limits.flows_per_client) return;
  for (const std::size_t place : places_of(client)) sketch_[place].fetch_add(1, kRelaxed);
}

void ServiceLoad::remove(std::uint16_t service, std::uint64_t client) {
  services_[service].flows.fetch_sub(1, kRelaxed);
  if (!services_[service].limits.flows_per_client) return;
  for (const std::size_t place : places_of(client)) sketch_[place].fetch_sub(1, kRelaxed);
}

void ServiceLoad::copy(const ServiceLoad& other) {
  const std::size_t count = std::min(limited_.size(), other.limited_.size());
  for (std::size_t i = 0; i < count; ++i) {
    services_[i].flows.store(other.services_[i].flows.load(kRelaxed), kRelaxed);
    services_[i].next_turn.store(other.services_[i].next_turn.load(kRelaxed), kRelaxed);
  }
  if (sketch_ == nullptr || other.sketch_ == nullptr) return;
  for (std::size_t place = 0; place < kRows * kColumns; ++place) {
    sketch_[place].store(other.sketch_[place].load(kRelaxed), kRelaxed);
  }
}

}  // namespace vipgate
