#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "vipgate/adoption.h"
#include "vipgate/packet.h"
#include "vipgate/rules.h"
#include "vipgate/time.h"
#include "vipgate/verdict.h"

namespace vipgate {

/// The flow space has this many parts, whatever the number of workers. Part of the format of recorded flows.
inline constexpr std::uint32_t kShards = 64;

struct FlowInfo;
class Ruleset;  // the compiled form of Rules; immutable, shared by all workers

/// Compiles checked rules: look-up tables by address and port, balancing tables. Takes time; not for the data path.
/// `generation` must grow with each ruleset that an engine is given; it starts at 1. Services of `previous` that have
/// the same VIP and name hand on what they know of their backends (backend_signs.h), and, where the same backends take
/// new flows as before, their balancing table.
std::shared_ptr<const Ruleset> compile(Rules rules, std::uint32_t generation, const Ruleset* previous = nullptr);

/// The names behind Verdict::service and Verdict::backend.
const Service& service_at(const Ruleset& ruleset, std::uint16_t service);
const Rules& rules_of(const Ruleset& ruleset);
/// The service that a new flow to this endpoint is for; none: nobody's.
std::optional<std::uint16_t> find_service(const Ruleset& ruleset, Protocol protocol, const Endpoint& endpoint);

/// Memory for the flows of all shards, of an owner who keeps it alive longer than every engine that uses it. Workers
/// share it without a lock, since each touches its own shards alone.
///
/// Records and helpers may be memory that outlives the process, with flows in it that Engine::adopt() takes over: they
/// are whole flows at any moment, have no pointers in them, and do not depend on the number of workers. They depend on
/// kFlowLayout, kShards, the capacity and the seed. Otherwise they are zeroed, as the index always is.
struct FlowMemory {
  std::span<std::byte> records;  ///< flow_record_bytes(capacity) bytes, 64-byte aligned
  std::span<std::byte> index;    ///< flow_index_bytes(capacity) bytes, 64-byte aligned
  std::span<std::byte> helpers;  ///< helper_record_bytes(capacity) bytes, 64-byte aligned
  std::size_t capacity = 0;      ///< flows in all; a multiple of kShards
};
/// Version of what the bytes of records and helpers mean.
inline constexpr std::uint32_t kFlowLayout = 1;
std::size_t flow_record_bytes(std::size_t capacity);
std::size_t flow_index_bytes(std::size_t capacity);
std::size_t helper_record_bytes(std::size_t capacity);
/// Copies the flows that an earlier process left to zeroed memory of another capacity, before Engine::adopt(); both may
/// lack the index. Returns how many find no place there.
std::size_t carry_over(const FlowMemory& from, const FlowMemory& to);

struct EngineOptions {
  std::uint32_t worker = 0;  ///< owns the shards with shard mod workers == worker
  std::uint32_t workers = 1;
  std::uint64_t seed = 0;  ///< of all hashes and random choices; the same for all workers
  FlowMemory memory;
};

struct Counters {
  std::array<std::uint64_t, kActionCount> actions{};
  std::array<std::uint64_t, kReasonCount> reasons{};  ///< of drops, and of replies that reject
  std::uint64_t flows_opened = 0;
  std::uint64_t flows_expired = 0;
  std::uint64_t flows_evicted = 0;               ///< closed, half-open or one-way flows whose room or port another took
  std::uint64_t flows_revoked = 0;               ///< no longer allowed by a new ruleset
  std::uint64_t flows_ended = 0;                 ///< by end()
  std::uint64_t datagrams_expired = 0;           ///< whose fragments did not all come in time
  std::uint64_t data_connections_announced = 0;  ///< by helpers
  std::uint64_t data_connections_refused = 0;    ///< lines that ask for a third party, a well-known port, or in vain

  void add(const Counters& other);
  bool operator==(const Counters&) const = default;
};

/// The packet engine of one worker. No system call, clock, lock or log; no allocation for packets of known flows. The
/// same packets, times, rules and seed give the same bytes.
class Engine {
 public:
  Engine(const EngineOptions& options, std::shared_ptr<const Ruleset> ruleset);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Takes over the flows that an earlier process left in the memory of this engine's shards, at whatever moment it was
  /// killed. To be called before the first packet. The flows are held against the ruleset with their next packet, or
  /// within a few calls of run(), the first of which should come at once.
  Adoption adopt(Time now, Found found = Found::left);

  /// The most packets that one call takes.
  static constexpr std::size_t kMaxBatch = 32;

  /// Decides about packets in their order and rewrites them in place; `verdicts` has as many places as `packets`, which
  /// are at most kMaxBatch. Several at once are cheaper, since the memory of all is fetched while the first is worked
  /// on. Ends a bounded number of silent flows on the way. The last fragment of a datagram becomes the whole datagram:
  /// its `bytes` then lie in the engine's memory until the next call. What is forwarded or passed goes out by
  /// send_as_it_came().
  void process(std::span<Packet> packets, std::span<Verdict> verdicts, Time now, PacketSink& sink);

  Verdict process(Packet& packet, Time now, PacketSink& sink) {
    Verdict verdict;
    process({&packet, 1}, {&verdict, 1}, now, sink);
    return verdict;
  }

  /// During process(): the place in `packets` of the one that is decided about. A sink can so tell what is answered.
  std::size_t deciding() const;

  /// Ends silent flows, and those that the ruleset does not allow any more, at most a bounded number a call; tells
  /// their ends. Returns when it next wants to run.
  Time run(Time now, PacketSink& sink);

  /// From now on decides by `ruleset`. Flows that it still allows go on; the others end with their next packet, or
  /// within a few calls of run(), the first of which should come at once.
  void set_ruleset(std::shared_ptr<const Ruleset> ruleset);

  const Ruleset& ruleset() const;
  const Counters& counters() const;
  std::size_t flow_count() const;

  /// Shows flows to `each`: those in at most `budget` records, from `from` on, which is 0 at first. Returns where to go
  /// on, or nullopt after the last. Flows that begin or end meanwhile may be shown or not.
  std::optional<std::uint64_t> list(std::uint64_t from, std::size_t budget, Time now,
                                    const std::function<void(const FlowInfo&)>& each) const;

  struct Ended {
    std::size_t flows = 0;
    std::optional<std::uint64_t> next;  ///< as list() returns
  };
  /// Ends flows that `chosen` picks, at most `most` of them, and looks for them as list() does. Both ends of a
  /// connection that is set up are told, with a RST.
  Ended end(std::uint64_t from, std::size_t budget, std::size_t most, Time now,
            const std::function<bool(const FlowInfo&)>& chosen, PacketSink& sink);

  /// Copies what is known of the packet's flow to `to`, so that another engine with the same seed, after adopt(),
  /// decides about the packet as this one would. Nothing here changes. `to` is zeroed; it stays so where there is no
  /// such flow, or it is another worker's.
  void lend(Packet packet, Time now, const FlowMemory& to) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace vipgate
