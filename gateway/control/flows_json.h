#pragma once

#include <map>
#include <string>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "runtime/explain.h"
#include "runtime/flow_query.h"

namespace vipgate::control {

/// What the parameters of /v1/flows ask for: address, port, protocol, service, backend, state, from, limit.
absl::StatusOr<FlowQuery> flow_query(const std::map<std::string, std::string>& parameters);

/// The flows that POST /v1/flows/end is to end, and from where on.
struct EndQuery {
  FlowFilter filter;
  FlowPosition from;
};
/// What its body asks for: the same filters, or {"all": true}, and perhaps "from".
absl::StatusOr<EndQuery> end_query(const std::string& body);

nlohmann::ordered_json flows_json(const FlowPage& page);
nlohmann::ordered_json explanation_json(const Explanation& explanation);

}  // namespace vipgate::control
