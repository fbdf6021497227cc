#include "runtime/replay.h"

#include <algorithm>
#include <utility>

#include "runtime/collector.h"
#include "vipgate/inspect.h"

namespace vipgate {
namespace {

bool is_ours(const Rules& rules, Ipv4Address address) {
  return std::find(rules.masquerade.begin(), rules.masquerade.end(), address) != rules.masquerade.end() ||
         std::any_of(rules.vips.begin(), rules.vips.end(), [&](const Vip& vip) { return vip.address == address; });
}

bool is_backend(const Rules& rules, Ipv4Address address) {
  for (const Vip& vip : rules.vips) {
    for (const Service& service : vip.services) {
      for (const Backend& backend : service.backends) {
        if (backend.address == address) return true;
      }
    }
  }
  return false;
}

/// The entry that an address is an egress host of.
const Egress* egress_of(const Rules& rules, Ipv4Address address) {
  const auto found = std::find_if(rules.egress.begin(), rules.egress.end(),
                                  [&](const Egress& egress) { return egress.from.contains(address); });
  return found == rules.egress.end() ? nullptr : &*found;
}

/// Whether an answer to an egress host has its private address already.
bool is_answer_to_egress(const Rules& rules, Ipv4Address source, Ipv4Address destination) {
  const Egress* egress = egress_of(rules, destination);
  if (egress == nullptr || egress_of(rules, source) != nullptr) return false;
  return std::none_of(egress->except.begin(), egress->except.end(),
                      [&](Ipv4Prefix except) { return except.contains(source); });  // never translated
}

}  // namespace

Replay::Replay(FlowStorage storage, Rules rules, std::uint32_t mtu, std::uint64_t seed)
    : storage_(std::move(storage)),
      mtu_(mtu),
      engine_({.worker = 0, .workers = 1, .seed = seed, .memory = storage_.memory()}, compile(std::move(rules), 1)) {}

/// Whether the gateway that was running when the capture was taken had sent the packet: it goes elsewhere than to us,
/// and it comes from one of our addresses, or goes to a backend or from outside to an egress host, as only translated
/// packets do.
bool Replay::is_own_output(std::span<const std::uint8_t> ip) const {
  const auto endpoints = endpoints_of(ip);
  if (!endpoints) return false;
  const Rules& rules = rules_of(engine_.ruleset());
  if (is_ours(rules, endpoints->destination.address)) return false;
  return is_ours(rules, endpoints->source.address) || is_backend(rules, endpoints->destination.address) ||
         is_answer_to_egress(rules, endpoints->source.address, endpoints->destination.address);
}

ReplayedPacket Replay::process(const CapturedPacket& captured, std::optional<bool> own_output) {
  ReplayedPacket result;
  result.number = ++summary_.packets;
  result.time = captured.time;
  if (captured.ip.empty()) {
    ++summary_.not_ipv4;
    result.is_ipv4 = false;
    result.in = "not IPv4";
    return result;
  }
  result.in = describe(captured.ip);
  if (captured.original_size > captured.ip.size()) result.in += " (cut off by the capture)";
  if (own_output ? *own_output : is_own_output(captured.ip)) {
    ++summary_.own_output;
    result.own_output = true;
    return result;
  }
  buffer_.assign(captured.ip.begin(), captured.ip.end());
  buffer_.resize(captured.ip.size() + kSpareRoom);
  Packet packet{.bytes = std::span(buffer_).first(captured.ip.size()),
                .virtio = virtio_header_of_capture(captured.ip, mtu_)};
  Collector collector(result.out);
  result.verdict = engine_.process(packet, captured.time, collector);
  if (result.verdict.action == Action::forward || result.verdict.action == Action::pass)
    send_as_it_came(packet, collector);
  if (result.verdict.service != Verdict::kNoService) {
    result.service = service_at(engine_.ruleset(), result.verdict.service).name;
    result.backend = backend_of(result.verdict, captured.ip, packet.bytes);
  }
  return result;
}

/// The backend of a packet that was forwarded: its endpoint, which is where the packet came from or where it goes; an
/// ICMP error shows no port, and so gets the name.
std::string Replay::backend_of(const Verdict& verdict, std::span<const std::uint8_t> in,
                               std::span<const std::uint8_t> out) const {
  const Backend& backend = service_at(engine_.ruleset(), verdict.service).backends[verdict.backend];
  for (const auto& endpoint : {endpoints_of(in)->source, endpoints_of(out)->destination}) {
    if (endpoint.address == backend.address && endpoint.port != 0) return endpoint.to_string();
  }
  return backend.name;
}

ReplaySummary Replay::summary() const {
  ReplaySummary summary = summary_;
  summary.engine = engine_.counters();
  return summary;
}

}  // namespace vipgate
