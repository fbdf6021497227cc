#include "control/flows_json.h"

#include <chrono>
#include <cstdint>
#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "control/filter_parameters.h"
#include "vipgate/inspect.h"

namespace vipgate::control {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostFlows = 10000;

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

/// Takes one parameter over; false: it means nothing.
bool take(const std::string& name, const std::string& value, FlowQuery& query) {
  FlowFilter& filter = query.filter;
  std::uint32_t number = 0;
  if (const auto understood = take_filter(name, value, filter)) return *understood;
  if (name == "from") {
    const auto position = FlowPosition::parse(value);
    if (position) query.from = *position;
    return position.has_value();
  }
  if (name == "limit") {
    if (!absl::SimpleAtoi(value, &number) || number == 0 || number > kMostFlows) return false;
    query.limit = number;
    return true;
  }
  if (name != "state") return false;
  filter.state = value;
  return !value.empty();
}

}  // namespace

absl::StatusOr<FlowQuery> flow_query(const std::map<std::string, std::string>& parameters) {
  FlowQuery query;
  for (const auto& [name, value] : parameters) {
    if (take(name, value, query)) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", name, "=", value,
        "\" is not understood; there are address=10.0.0.0/8, port=80, protocol=tcp, service=web, ",
        "backend=NAME, state=established, limit=1 to ", kMostFlows, ", and from= with the \"next\" of a page"));
  }
  return query;
}

absl::StatusOr<EndQuery> end_query(const std::string& body) {
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  bool all = false;
  std::map<std::string, std::string> parameters;
  bool understood = json.is_object();
  for (const auto& [name, value] : json.items()) {
    if (!understood) break;
    if (name == "all" && value.is_boolean()) {
      all = value.get<bool>();
    } else if (value.is_string()) {
      understood = name != "all" && name != "limit" && parameters.emplace(name, value.get<std::string>()).second;
    } else {
      understood = name == "port" && value.is_number_unsigned() && parameters.emplace(name, value.dump()).second;
    }
  }
  if (!understood) {
    return absl::InvalidArgumentError(
        R"(the body must be an object of filters, such as {"service": "web", "port": 80}, )"
        R"(or {"all": true})");
  }
  auto query = flow_query(parameters);
  if (!query.ok()) return query.status();
  const bool has_filter = query->filter != FlowFilter();
  if (all && has_filter) return absl::InvalidArgumentError(R"("all" goes with no filter)");
  if (!all && !has_filter) {
    return absl::InvalidArgumentError(R"(which flows? Name a filter, such as {"service": "web"}, or {"all": true})");
  }
  return EndQuery{std::move(query->filter), query->from};
}

Json flows_json(const FlowPage& page) {
  Json flows = Json::array();
  for (const FoundFlow& found : page.flows) {
    const FlowInfo& flow = found.flow;
    flows.push_back({{"protocol", name_of(flow.protocol)},
                     {"origin", std::string(vipgate::name_of(flow.origin))},
                     {"state", std::string(flow.state)},
                     {"service", text_or_null(found.service)},
                     {"backend", text_or_null(found.backend)},
                     {"source", flow.source.to_string()},
                     {"destination", flow.destination.to_string()},
                     {"translated_source", flow.translated_source.to_string()},
                     {"translated_destination", flow.translated_destination.to_string()},
                     {"idle_seconds", seconds(flow.idle)},
                     {"left_seconds", seconds(flow.left)},
                     {"shard", flow.shard}});
  }
  return {{"flows", std::move(flows)}, {"next", page.next ? Json(page.next->to_string()) : Json()}};
}

Json explanation_json(const Explanation& explanation) {
  Json steps = Json::array();
  for (const ExplainedStep& step : explanation.steps) steps.push_back({{"step", step.step}, {"finding", step.finding}});
  Json out = Json::array();
  for (const auto& packet : explanation.out) out.push_back(describe(packet));
  const Verdict& verdict = explanation.verdict;
  return {{"steps", std::move(steps)},
          {"verdict", std::string(vipgate::name_of(verdict.action))},
          {"reason", verdict.reason == Reason::none ? Json() : Json(std::string(vipgate::name_of(verdict.reason)))},
          {"out", std::move(out)}};
}

}  // namespace vipgate::control
