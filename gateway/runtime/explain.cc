#include "runtime/explain.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "runtime/collector.h"
#include "vipgate/flow_info.h"
#include "vipgate/inspect.h"

namespace vipgate {
namespace {

constexpr std::size_t kProtocolOffset = 9;  // RFC 791 §3.1

std::string text_of(std::string_view view) {
  return std::string(view);
}

std::string text_of(const PacketEndpoints& ends) {
  const auto text = [](const Endpoint& end) { return end.port == 0 ? end.address.to_string() : end.to_string(); };
  return absl::StrCat(text(ends.source), " > ", text(ends.destination));
}

std::string name_of(Protocol protocol) {
  return protocol == Protocol::tcp ? "tcp" : protocol == Protocol::udp ? "udp" : "icmp";
}

std::string text_of(Duration duration) {
  return absl::FormatDuration(absl::Trunc(absl::Nanoseconds(duration.count()), absl::Milliseconds(100)));
}

std::string ports_of(const Service& service) {
  if (service.wildcard) return "*";
  return absl::StrJoin(service.ports, ",", [](std::string* out, const PortRange& range) {
    absl::StrAppend(out, range.first);
    if (range.last != range.first) absl::StrAppend(out, "-", range.last);
  });
}

/// What there is to say of the flow with these ends, whichever way the packet goes. ICMP has no ports.
std::optional<std::string> known_flow(const Engine& engine, Protocol protocol, const PacketEndpoints& ends, Time now) {
  std::optional<std::string> known;
  const auto look = [&](const FlowInfo& flow) {
    const auto is = [&](Endpoint one, const Endpoint& wanted) {
      if (protocol == Protocol::icmp) one.port = 0;
      return one == wanted;
    };
    const bool original = is(flow.source, ends.source) && is(flow.destination, ends.destination);
    const bool reply = is(flow.translated_destination, ends.source) && is(flow.translated_source, ends.destination);
    if (flow.protocol != protocol || known || (!original && !reply)) return;
    known = absl::StrCat(
        original ? "known, from who opened it" : "known, back to who opened it", ": ", text_of(flow.state),
        flow.service == nullptr ? "" : absl::StrCat(", service ", flow.service->name, ", backend ", flow.backend->name),
        ", silent for ", text_of(flow.idle), ", ends after ", text_of(flow.left), " more");
  };
  (void)engine.list(0, SIZE_MAX, now, look);
  return known;
}

/// What an address is to the gateway.
std::string role_of(const Rules& rules, Ipv4Address address) {
  for (const Vip& vip : rules.vips) {
    if (vip.address == address) return vip.shared ? "a VIP that this host has, too" : "a VIP";
  }
  if (std::find(rules.masquerade.begin(), rules.masquerade.end(), address) != rules.masquerade.end()) {
    return "a masquerade address";
  }
  std::vector<std::string> served;
  for (const Vip& vip : rules.vips) {
    for (const Service& service : vip.services) {
      const bool serves = std::any_of(service.backends.begin(), service.backends.end(),
                                      [&](const Backend& backend) { return backend.address == address; });
      if (serves) served.push_back(service.name);
    }
  }
  if (!served.empty()) return absl::StrCat("a backend of ", absl::StrJoin(served, ", "));
  for (const Egress& egress : rules.egress) {
    if (egress.from.contains(address)) return absl::StrCat("a private host that leaves as ", egress.as.to_string());
  }
  const auto holds = [&](const Ipv4Prefix& subnet) { return subnet.contains(address); };
  if (std::any_of(rules.subnets.begin(), rules.subnets.end(), holds)) return "of tun.subnet, and nobody's";
  return "of no rule";
}

/// What is served at the VIP, for who asks for something else.
std::string services_of(const Rules& rules, Ipv4Address address) {
  std::vector<std::string> all;
  for (const Vip& vip : rules.vips) {
    if (vip.address != address) continue;
    for (const Service& service : vip.services) {
      const auto protocols = absl::StrJoin(service.protocols, "+",
                                           [](std::string* out, Protocol protocol) { out->append(name_of(protocol)); });
      all.push_back(absl::StrCat(service.name, " at ", protocols, " ", ports_of(service)));
    }
  }
  return absl::StrJoin(all, "; ");
}

/// The narrowest prefix of a list that holds the client.
std::optional<Ipv4Prefix> holder_of(const std::vector<Ipv4Prefix>& list, Ipv4Address client) {
  std::optional<Ipv4Prefix> best;
  for (const Ipv4Prefix& prefix : list) {
    if (prefix.contains(client) && (!best || prefix.length() > best->length())) best = prefix;
  }
  return best;
}

std::string admission_of(const Service& service, Ipv4Address client) {
  if (const auto denied = holder_of(service.deny, client)) {
    return absl::StrCat(client.to_string(), " is denied by ", denied->to_string());
  }
  const auto allowed = holder_of(service.allow, client);
  if (!allowed) return absl::StrCat(client.to_string(), " is not in the list of those allowed");
  return absl::StrCat(client.to_string(), " is allowed by ", allowed->to_string());
}

std::string limits_of(const Service& service) {
  std::vector<std::string> all;
  const auto add = [&](const char* name, const std::optional<std::uint32_t>& limit) {
    if (limit) all.push_back(absl::StrCat(name, " ", *limit));
  };
  add("flows", service.limits.flows);
  add("flows_per_client", service.limits.flows_per_client);
  add("new_per_second", service.limits.new_per_second);
  return absl::StrJoin(all, ", ");
}

std::string balance_of(const Service& service) {
  switch (service.balance) {
    case Balance::maglev:
      return service.affinity == Affinity::client ? "by the hash of the client's address"
                                                  : "by the hash of the client's address and port";
    case Balance::round_robin:
      return "in turn (whose turn it is depends on the flows before)";
    case Balance::least_connections:
      return "by the fewest flows (which depends on those that there are)";
  }
  return "";
}

std::string candidates_of(const Service& service) {
  return absl::StrJoin(service.backends, ", ", [](std::string* out, const Backend& backend) {
    absl::StrAppend(out, backend.name);
    if (backend.drained) {
      absl::StrAppend(out, " (drained)");
    } else if (backend.down) {
      absl::StrAppend(out, " (down)");
    } else if (backend.weight == 0) {
      absl::StrAppend(out, " (weight 0)");
    } else if (backend.backup) {
      absl::StrAppend(out, " (backup)");
    }
  });
}

std::string verdict_of(const Verdict& verdict) {
  std::string text = text_of(name_of(verdict.action));
  if (verdict.reason == Reason::none) return text;
  absl::StrAppend(&text, ", ", text_of(name_of(verdict.reason)), ": ", text_of(describe(verdict.reason)));
  return text;
}

/// How a new flow to a VIP came about, or why it did not.
class NewFlow {
 public:
  NewFlow(const Ruleset& ruleset, Protocol protocol, const PacketEndpoints& ends, const Verdict& verdict,
          OtherFlows others, std::vector<ExplainedStep>& steps)
      : ruleset_(ruleset), protocol_(protocol), ends_(ends), verdict_(verdict), others_(others), steps_(steps) {}

  void explain() {
    const auto index = find_service(ruleset_, protocol_, ends_.destination);
    const std::string asked = absl::StrCat(name_of(protocol_), " ", ends_.destination.port);
    if (!index) {
      add("service",
          absl::StrCat("none has ", asked, "; there is ", services_of(rules_of(ruleset_), ends_.destination.address)));
      return;
    }
    const Service& service = service_at(ruleset_, *index);
    add("service", absl::StrCat(service.name, " has ", asked));
    if (verdict_.reason == Reason::no_flow || verdict_.reason == Reason::tcp_flags) return;
    add("client", admission_of(service, ends_.source.address));
    if (verdict_.reason == Reason::denied) return;
    const std::string candidates = candidates_of(service);
    if (verdict_.reason == Reason::no_backend) {
      add("backend", absl::StrCat("none takes new flows: ", candidates));
      return;
    }
    if (verdict_.service == *index && verdict_.action == Action::forward) {
      add("backend", absl::StrCat(service.backends[verdict_.backend].name, ", chosen ", balance_of(service), " from ",
                                  candidates));
    } else {
      add("backend", absl::StrCat("one of ", candidates));
    }
    if (const std::string limits = limits_of(service); !limits.empty()) {
      add("limits", absl::StrCat(limits, is_over_limit() ? ": reached" : room()));
    }
    if (is_over_limit()) return;
    add("source", service.source == SourceMode::preserve ? "preserve: the backend sees the client"
                                                         : "masquerade: the backend sees an address of the gateway");
  }

 private:
  bool is_over_limit() const {
    return verdict_.reason == Reason::service_flows || verdict_.reason == Reason::client_flows ||
           verdict_.reason == Reason::service_rate;
  }
  const char* room() const {
    return others_ == OtherFlows::counted ? ": there is room" : " (what other flows use of them is not looked at)";
  }
  void add(std::string step, std::string finding) { steps_.push_back({std::move(step), std::move(finding)}); }

  const Ruleset& ruleset_;
  Protocol protocol_;
  const PacketEndpoints& ends_;
  const Verdict& verdict_;
  OtherFlows others_;
  std::vector<ExplainedStep>& steps_;
};

}  // namespace

Explanation explain(Engine& engine, std::span<const std::uint8_t> ip, std::size_t mtu, Time now, OtherFlows others) {
  Explanation explanation;
  auto& steps = explanation.steps;
  const Rules& rules = rules_of(engine.ruleset());
  steps.push_back({"packet", absl::StrCat(describe(ip), ", ", ip.size(), " bytes")});
  const auto ends = endpoints_of(ip);
  const auto protocol = ip.size() > kProtocolOffset ? Protocol{ip[kProtocolOffset]} : Protocol{};
  const auto flow = ends ? known_flow(engine, protocol, *ends, now) : std::nullopt;

  std::vector<std::uint8_t> buffer(ip.begin(), ip.end());
  buffer.resize(ip.size() + kSpareRoom);
  Packet packet{.bytes = std::span(buffer).first(ip.size()), .virtio = virtio_header_of_capture(ip, mtu)};
  Collector collector(explanation.out);
  const std::uint64_t opened = engine.counters().flows_opened;
  const Verdict verdict = engine.process(packet, now, collector);
  explanation.verdict = verdict;
  if (verdict.action == Action::forward || verdict.action == Action::pass) send_as_it_came(packet, collector);

  if (ends) {
    const Endpoint& source = ends->source;
    const Endpoint& destination = ends->destination;
    steps.push_back({"from", absl::StrCat(source.address.to_string(), ", ", role_of(rules, source.address))});
    steps.push_back({"to", absl::StrCat(destination.address.to_string(), ", ", role_of(rules, destination.address))});
    const bool has_ports = protocol == Protocol::tcp || protocol == Protocol::udp;
    if (flow) steps.push_back({"flow", *flow});
    if (!flow && (has_ports || protocol == Protocol::icmp)) steps.push_back({"flow", "none is known"});
    const bool begins = !flow || engine.counters().flows_opened > opened;
    const bool to_vip = std::any_of(rules.vips.begin(), rules.vips.end(),
                                    [&](const Vip& vip) { return vip.address == destination.address; });
    if (begins && to_vip && has_ports) NewFlow(engine.ruleset(), protocol, *ends, verdict, others, steps).explain();
  }
  if (ends && verdict.action == Action::forward && !explanation.out.empty()) {
    if (const auto after = endpoints_of(explanation.out.front())) {
      steps.push_back({"addresses", absl::StrCat(text_of(*ends), " becomes ", text_of(*after))});
    }
  }
  for (const auto& out : explanation.out) {
    const char* what = verdict.action == Action::reply ? "answer" : "sent on";
    steps.push_back({what, describe(out)});
  }
  steps.push_back({"verdict", verdict_of(verdict)});
  return explanation;
}

}  // namespace vipgate
