#include "engine/state.h"
#include "nat/expectation.h"

// Control connections of helpers: what their packets need beyond tracking and rewriting.

namespace vipgate {

/// Makes way for the data connections of one control connection.
class Engine::State::Expecter final : public DataExpecter {
 public:
  Expecter(State& state, std::uint8_t shard, const FlowRecord& control, HelperRecord& record, Time now)
      : state_(state), shard_(shard), control_(control), record_(record), now_(now) {}

  std::optional<Endpoint> expect(DataOpener opener, const Endpoint& target) override {
    // A new announcement takes the place of the last: what nobody used by now, nobody will.
    state_.forget_expectation(shard_, control_, record_);
    record_.expected = {};
    const auto announced = opener == DataOpener::client ? for_client() : for_backend(target);
    if (!announced || !state_.make_room(shard_, 1)) return std::nullopt;
    const FlowRecord expectation =
        make_expectation({.from = opener == DataOpener::client ? control_.original.source : control_.reply.source,
                          .target = target,
                          .announced = *announced,
                          .service = control_.service,
                          .backend = control_.backend,
                          .generation = control_.generation,
                          .owner = control_.seal},
                         now_);
    state_.flows_of(shard_).insert(expectation, kExpectationTimeout);
    record_.expected = expectation.original;
    return announced;
  }

 private:
  std::optional<Endpoint> for_client() const {
    const Ipv4Address vip = control_.original.destination;
    const auto port = choose_announced_port(control_.original.source, vip, shard_, flows(), state_.port_hash);
    return port ? std::optional(Endpoint{vip, *port}) : std::nullopt;
  }

  /// At the address by which the backend knows the client.
  std::optional<Endpoint> for_backend(const Endpoint& target) const {
    const Ipv4Address shown = control_.reply.destination;
    const Ipv4Address backend = control_.reply.source;
    const auto port = shown == control_.original.source
                          ? choose_client_port(backend, target, shard_, flows(), state_.sharding)
                          : choose_masqueraded_port(backend, shown, shard_, flows(), state_.port_hash);
    return port ? std::optional(Endpoint{shown, *port}) : std::nullopt;
  }

  const FlowTable& flows() const { return state_.flows_of(shard_); }

  State& state_;
  std::uint8_t shard_;
  const FlowRecord& control_;
  HelperRecord& record_;
  Time now_;
};

const HelperRecord* Engine::State::helper_of(std::uint8_t shard, const FlowRecord& flow) const {
  return flow.has_extension() ? &shard_at(shard).helpers[flow.extension] : nullptr;
}

bool Engine::State::needs_helper(const FlowRecord& flow) const {
  return flow.kind == FlowKind::service && flow.protocol == Protocol::tcp &&
         rules->service(flow.service).service->helper == Helper::ftp;
}

/// Gives a flow that has gone live its helper's record, where it needs one. Not earlier: requests that nobody stands
/// behind shall not use up the records. False: there is none left.
bool Engine::State::summon_helper(const Transit& transit, FlowRecord& flow, Direction direction) {
  if (!needs_helper(flow) || flow.has_extension()) return true;
  HelperPool& helpers = shard_at(transit.shard).helpers;
  const std::uint32_t number = helpers.take(flow.seal);
  if (number == HelperPool::kNone) return false;
  // With the acknowledgement of the SYN/ACK, both sides' first lines are still to come.
  const bool handshake = direction == Direction::original && !flow.tcp.has(TcpTrack::kPickedUp);
  if (handshake) {
    ftp_open(helpers.draft(number).ftp, transit.view.tcp.sequence(), transit.view.tcp.acknowledgement());
    helpers.publish(number);
  }
  order_stores();
  flow.extension = number;
  return true;
}

/// Lets the helper read and edit a segment, of a flow that has one, that the tracker let pass. Returns what objects.
Reason Engine::State::help(Transit& transit, const FlowRecord& flow, Direction direction, TcpOutcome outcome,
                           Time now) {
  HelperPool& helpers = shard_at(transit.shard).helpers;
  HelperRecord& record = helpers.draft(flow.extension);
  const FtpNames names{.client = flow.original.source, .vip = flow.original.destination, .backend = flow.reply.source};
  Expecter expecter(*this, transit.shard, flow, record, now);
  const FtpVerdict verdict =
      ftp_translate(record.ftp, direction, *transit.packet, transit.view, outcome, names, expecter);
  helpers.publish(flow.extension);
  counters.data_connections_announced += verdict.announced;
  counters.data_connections_refused += verdict.refused;
  return verdict.drop;
}

/// Withdraws what the control connection announced last, unless it has been used: then what was announced may meanwhile
/// stand for another connection of the same client.
void Engine::State::forget_expectation(std::uint8_t shard, const FlowRecord& control, const HelperRecord& record) {
  FlowTable& flows = flows_of(shard);
  const auto hit = flows.find(Protocol::tcp, record.expected);
  if (!hit) return;
  const FlowRecord& expectation = flows[hit.id];
  if (expectation.kind == FlowKind::expectation && expectation.extension == control.seal) flows.erase(hit.id);
}

/// Gives back the record of a flow that ends.
void Engine::State::dismiss_helper(std::uint8_t shard, const FlowRecord& flow) {
  const HelperRecord* record = helper_of(shard, flow);
  if (record == nullptr) return;
  forget_expectation(shard, flow, *record);
  shard_at(shard).helpers.give_back(flow.extension);
}

}  // namespace vipgate
