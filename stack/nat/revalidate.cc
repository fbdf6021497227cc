#include "nat/revalidate.h"

#include <optional>

namespace vipgate {
namespace {

/// The service's backend that has the flow, if the source that it sees is still one that it would get.
std::optional<std::uint16_t> backend_serving(const Ruleset& rules, std::uint16_t service, const FlowRecord& flow) {
  const Service& rule = *rules.service(service).service;
  const bool preserved = flow.reply.destination == flow.original.source;
  const bool source_allowed =
      preserved ? rule.source == SourceMode::preserve : rules.role_of(flow.reply.destination).masquerade;
  if (!source_allowed) return std::nullopt;
  for (std::uint16_t i = 0; i < rule.backends.size(); ++i) {
    if (rules.backend_endpoint(service, i, flow.original.destination_port) == flow.reply.source_endpoint()) return i;
  }
  return std::nullopt;
}

/// What becomes of the flow if its backend is down.
bool survives(const Service& service, const Backend& backend, const FlowRecord& flow) {
  if (!backend.down) return true;
  // A connection whose SYN was never answered is better off at another backend; its SYN will come again.
  const bool is_connection = flow.protocol == Protocol::tcp && flow.tcp.state != TcpState::syn_sent;
  return is_connection && service.on_backend_down == OnBackendDown::keep;
}

bool revalidate_service(const Ruleset& rules, FlowRecord& flow) {
  const AddressRole vip = rules.role_of(flow.original.destination);
  if (!vip.is_vip()) return false;
  const auto service = rules.find_service(vip.vip, flow.protocol, flow.original.destination_port);
  if (!service || !rules.service(*service).allows(flow.original.source)) return false;
  const auto backend = backend_serving(rules, *service, flow);
  if (!backend) return false;
  const Service& rule = *rules.service(*service).service;
  if (!survives(rule, rule.backends[*backend], flow)) return false;
  flow.service = *service;
  flow.backend = *backend;
  return true;
}

/// A data connection, or the expectation of one, that has a backend of a service with a helper at one end.
bool revalidate_related(const Ruleset& rules, FlowRecord& flow) {
  for (std::uint16_t service = 0; service < rules.service_count(); ++service) {
    const Service& rule = *rules.service(service).service;
    if (rule.helper == Helper::none) continue;
    for (std::uint16_t i = 0; i < rule.backends.size(); ++i) {
      const Backend& backend = rule.backends[i];
      if (backend.address != flow.original.source && backend.address != flow.reply.source) continue;
      if (backend.down && rule.on_backend_down == OnBackendDown::reset) continue;
      flow.service = service;
      flow.backend = i;
      return true;
    }
  }
  return false;
}

bool revalidate_egress(const Ruleset& rules, const FlowRecord& flow) {
  const CompiledEgress* egress = rules.find_egress(flow.original.source, flow.original.destination);
  return egress != nullptr && egress->as == flow.reply.destination;
}

bool is_allowed(const Ruleset& rules, FlowRecord& flow) {
  switch (flow.kind) {
    case FlowKind::service:
      return revalidate_service(rules, flow);
    case FlowKind::related:
    case FlowKind::expectation:
      return revalidate_related(rules, flow);
    case FlowKind::egress:
      return revalidate_egress(rules, flow);
    case FlowKind::mapping:
      break;  // its flows are asked
  }
  return true;
}

}  // namespace

bool revalidate(const Ruleset& rules, FlowRecord& flow) {
  if (flow.generation == rules.generation()) return true;
  if (!is_allowed(rules, flow)) return false;
  flow.generation = rules.generation();
  return true;
}

}  // namespace vipgate
