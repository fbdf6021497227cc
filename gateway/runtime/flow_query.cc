#include "runtime/flow_query.h"

#include <algorithm>
#include <array>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace vipgate {

std::string FlowPosition::to_string() const {
  return absl::StrCat(worker, ".", at);
}

std::optional<FlowPosition> FlowPosition::parse(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, '.');
  FlowPosition position;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &position.worker) || !absl::SimpleAtoi(parts[1], &position.at)) {
    return std::nullopt;
  }
  return position;
}

bool FlowFilter::matches(const FlowInfo& flow) const {
  const std::array ends{flow.source, flow.destination, flow.translated_source, flow.translated_destination};
  const auto has_address = [&](const Endpoint& end) { return address->contains(end.address); };
  const auto has_port = [&](const Endpoint& end) { return end.port == *port; };
  if (address && std::none_of(ends.begin(), ends.end(), has_address)) return false;
  if (port && std::none_of(ends.begin(), ends.end(), has_port)) return false;
  if (protocol && flow.protocol != *protocol) return false;
  if (!service.empty() && (flow.service == nullptr || flow.service->name != service)) return false;
  if (!backend.empty() && (flow.backend == nullptr || flow.backend->name != backend)) return false;
  return state.empty() || flow.state == state;
}

}  // namespace vipgate
