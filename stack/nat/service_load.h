#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "vipgate/address.h"
#include "vipgate/rules.h"
#include "vipgate/time.h"
#include "vipgate/verdict.h"

namespace vipgate {

/// What the services with Limits carry at the moment. The one part of a ruleset that changes: all workers count in it,
/// each with single atomic steps. It counts the flows that its ruleset has allowed or revalidated.
///
/// Flows of a client are counted in a counting sketch (Cormode and Muthukrishnan, "count-min", 2005): four counters a
/// client, chosen by a keyed hash, of which the least holds. Its memory is bounded whatever sources a flood invents. It
/// never counts too few; with 262,144 flows of limited services a client is credited with another's flow in one case of
/// six, and with three others' in one of 20,000.
class ServiceLoad {
 public:
  /// By service.
  explicit ServiceLoad(std::vector<Limits> limits);

  bool is_limited(std::uint16_t service) const { return limited_[service]; }

  /// Whether another flow of the client has its place: Reason::none, or which limit objects. `client` is a keyed hash
  /// of service and client address.
  Reason objection(std::uint16_t service, std::uint64_t client) const;

  /// Whether the service is asked slowly enough for new flows; counts the request if so.
  bool take_turn(std::uint16_t service, Time now);

  void add(std::uint16_t service, std::uint64_t client);
  void remove(std::uint16_t service, std::uint64_t client);

  /// Counts from here on as if it had counted all that `other`, of the same limits, has. Others may count there
  /// meanwhile.
  void copy(const ServiceLoad& other);

 private:
  static constexpr std::size_t kRows = 4;
  static constexpr std::size_t kColumns = std::size_t{1} << 18;

  using Counter = std::atomic<std::uint32_t>;
  struct Service {
    Limits limits;
    Counter flows = 0;
    std::atomic<Duration::rep> next_turn = -Duration(std::chrono::hours(1)).count();  ///< the bucket as time
  };

  static std::array<std::size_t, kRows> places_of(std::uint64_t client);

  std::vector<bool> limited_;
  std::unique_ptr<Service[]> services_;
  std::unique_ptr<Counter[]> sketch_;  ///< none where no service limits clients
};

}  // namespace vipgate
