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

}  // namespace

bool revalidate(const Ruleset& rules, FlowRecord& flow) {
  if (flow.generation == rules.generation()) return true;
  const AddressRole vip = rules.role_of(flow.original.destination);
  if (!vip.is_vip()) return false;
  const auto service = rules.find_service(vip.vip, flow.protocol, flow.original.destination_port);
  if (!service) return false;
  const auto backend = backend_serving(rules, *service, flow);
  if (!backend) return false;
  flow.service = *service;
  flow.backend = *backend;
  flow.generation = rules.generation();
  return true;
}

}  // namespace vipgate
