#include "control/api.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "control/capture_query.h"
#include "control/flows_json.h"
#include "control/metrics.h"
#include "control/page.h"
#include "control/query.h"
#include "control/status_json.h"
#include "vipgate/inspect.h"

namespace vipgate::control {
namespace {

using Json = nlohmann::ordered_json;
using Respond = std::function<void(Response)>;

Response failure(int status, const std::string& what) {
  return {.status = status, .body = Json{{"error", what}}.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

Response success(const Json& body) {
  // Names from files may be anything: what is no UTF-8 is replaced rather than thrown over.
  return {.status = 200, .body = body.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

template <Json (*part)(const GatewayStatus&)>
void get_status(const Request&, GatewayControl& gateway, const Respond& respond) {
  gateway.status([respond](const GatewayStatus& status) { respond(success(part(status))); });
}

void get_metrics(const Request&, GatewayControl& gateway, const Respond& respond) {
  gateway.status([respond](const GatewayStatus& status) {
    respond({.status = 200, .body = metrics_text(status), .content_type = kMetricsType});
  });
}

void get_page(const Request&, GatewayControl&, const Respond& respond) {
  respond({.status = 200, .body = std::string(page()), .content_type = kPageType});
}

void reload(const Request&, GatewayControl& gateway, const Respond& respond) {
  const ReloadResult result = gateway.reload();
  if (result.accepted) return respond(success({{"changes", result.lines}}));
  const Json body{{"error", "reload refused; the running configuration stays"}, {"details", result.lines}};
  respond({.status = 409, .body = success(body).body});
}

int http_status_of(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kFailedPrecondition:
      return 409;
    case absl::StatusCode::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

Response failure(const absl::Status& status) {
  return failure(http_status_of(status), std::string(status.message()));
}

/// nullptr: it is no object, or has no such member.
const Json* member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

/// The request's {"backend": NAME}.
std::optional<std::string> backend_of(const Request& request) {
  const Json body = Json::parse(request.body, nullptr, /*allow_exceptions=*/false);
  const Json* name = member(body, "backend");
  if (body.size() != 1 || name == nullptr || !name->is_string()) return std::nullopt;
  return name->get<std::string>();
}

void change_backend(const Request& request, const Respond& respond,
                    const std::function<absl::StatusOr<std::vector<std::string>>(const std::string&)>& change) {
  const auto name = backend_of(request);
  if (!name) return respond(failure(400, R"(the body must be {"backend": "10.0.0.3"} or {"backend": "web/NAME"})"));
  const auto meant = change(*name);
  if (!meant.ok()) return respond(failure(meant.status()));
  respond(success({{"backends", *meant}}));
}

void drain(const Request& request, GatewayControl& gateway, const Respond& respond) {
  change_backend(request, respond, [&](const std::string& name) { return gateway.drain(name); });
}

void undrain(const Request& request, GatewayControl& gateway, const Respond& respond) {
  change_backend(request, respond, [&](const std::string& name) { return gateway.undrain(name); });
}

void set_weight(const Request& request, GatewayControl& gateway, const Respond& respond) {
  constexpr std::uint64_t kMostWeight = 65535;  // as in the configuration
  const Json body = Json::parse(request.body, nullptr, /*allow_exceptions=*/false);
  const Json* backend = member(body, "backend");
  const Json* weight = member(body, "weight");
  const bool reset = weight != nullptr && weight->is_null();
  const bool number = weight != nullptr && weight->is_number_unsigned() && weight->get<std::uint64_t>() <= kMostWeight;
  if (body.size() != 2 || backend == nullptr || !backend->is_string() || (!reset && !number)) {
    return respond(
        failure(400, R"(the body must be {"backend": "10.0.0.3", "weight": 0 to 65535}, or "weight": null)"));
  }
  const auto wanted = reset ? std::nullopt : std::optional(weight->get<std::uint32_t>());
  const auto meant = gateway.set_weight(backend->get<std::string>(), wanted);
  if (!meant.ok()) return respond(failure(meant.status()));
  respond(success({{"backends", *meant}, {"weight", *weight}}));
}

void end_flows(const Request& request, GatewayControl& gateway, const Respond& respond) {
  auto query = end_query(request.body);
  if (!query.ok()) return respond(failure(query.status()));
  gateway.end_flows(std::move(query->filter), query->from, [respond](const absl::StatusOr<EndedFlows>& ended) {
    if (!ended.ok()) return respond(failure(ended.status()));
    respond(success({{"ended", ended->flows}, {"next", ended->next ? Json(ended->next->to_string()) : Json()}}));
  });
}

/// Empty, and the client is told: the target's parameters cannot be read.
std::optional<std::map<std::string, std::string>> parameters_of(const Request& request, const Respond& respond) {
  auto parameters = parse_query(request.target);
  if (!parameters) respond(failure(400, "the part of the path behind \"?\" is broken, or has a name twice"));
  return parameters;
}

void get_flows(const Request& request, GatewayControl& gateway, const Respond& respond) {
  const auto parameters = parameters_of(request, respond);
  if (!parameters) return;
  auto query = flow_query(*parameters);
  if (!query.ok()) return respond(failure(query.status()));
  gateway.flows(*std::move(query), [respond](const absl::StatusOr<FlowPage>& page) {
    respond(page.ok() ? success(flows_json(*page)) : failure(page.status()));
  });
}

void get_explanation(const Request& request, GatewayControl& gateway, const Respond& respond) {
  const auto parameters = parameters_of(request, respond);
  if (!parameters) return;
  const auto named = [&](const char* name) {
    const auto found = parameters->find(name);
    return found == parameters->end() ? std::string() : found->second;
  };
  std::vector<std::uint8_t> packet;
  if (const std::string hex = named("bytes"); !hex.empty()) {
    const auto is_digit = [](unsigned char letter) { return absl::ascii_isxdigit(letter); };
    if (hex.size() % 2 != 0 || !std::all_of(hex.begin(), hex.end(), is_digit)) {
      return respond(failure(400, "bytes= wants hexadecimal digits, two a byte"));
    }
    const std::string bytes = absl::HexStringToBytes(hex);
    packet.assign(bytes.begin(), bytes.end());
  } else {
    Composed composed = compose(named("packet"));
    if (!composed.error.empty()) return respond(failure(400, composed.error));
    packet = std::move(composed.bytes);
  }
  gateway.explain(std::move(packet), [respond](const absl::StatusOr<Explanation>& explanation) {
    respond(explanation.ok() ? success(explanation_json(*explanation)) : failure(explanation.status()));
  });
}

void capture(const Request& request, GatewayControl& gateway, const Respond& respond) {
  const auto parameters = parameters_of(request, respond);
  if (!parameters) return;
  auto query = capture_query(*parameters);
  if (!query.ok()) return respond(failure(query.status()));
  const char* type = query->format == CaptureFormat::text ? "text/plain; charset=utf-8" : "application/x-pcapng";
  auto source = gateway.capture(*std::move(query));
  if (!source.ok()) return respond(failure(source.status()));
  respond({.status = 200, .body = {}, .content_type = type, .stream = *std::move(source)});
}

template <bool standby>
void set_standby(const Request&, GatewayControl& gateway, const Respond& respond) {
  const absl::Status status = gateway.set_standby(standby);
  if (!status.ok()) return respond(failure(status));
  respond(success({{"standby", standby}}));
}

struct Route {
  std::string_view method;
  std::string_view path;
  void (*answer)(const Request&, GatewayControl&, const Respond&);
};
constexpr std::array kRoutes{
    Route{"GET", "/v1/status", get_status<status_json>},
    Route{"GET", "/v1/services", get_status<services_json>},
    Route{"GET", "/v1/backends", get_status<backends_json>},
    Route{"GET", "/v1/drops", get_status<drops_json>},
    Route{"GET", "/v1/flows", get_flows},
    Route{"GET", "/v1/explain", get_explanation},
    Route{"POST", "/v1/capture", capture},
    Route{"POST", "/v1/reload", reload},
    Route{"POST", "/v1/drain", drain},
    Route{"POST", "/v1/undrain", undrain},
    Route{"POST", "/v1/weight", set_weight},
    Route{"POST", "/v1/flows/end", end_flows},
    Route{"POST", "/v1/standby", set_standby<true>},
    Route{"POST", "/v1/activate", set_standby<false>},
    Route{"GET", "/metrics", get_metrics},
    Route{"GET", "/", get_page},
};

}  // namespace

void answer(const Request& request, Access access, GatewayControl& gateway, const Respond& respond) {
  const std::string_view path = std::string_view(request.target).substr(0, request.target.find('?'));
  const std::string_view wanted = request.method == "HEAD" ? "GET" : std::string_view(request.method);
  std::string_view method;
  for (const Route& route : kRoutes) {
    if (route.path != path) continue;
    method = route.method;
    if (method != wanted) continue;
    if (access == Access::read && method != "GET") {
      return respond(failure(403, "here one can only look; changes are made by the commands, over the control socket"));
    }
    return route.answer(request, gateway, respond);
  }
  if (!method.empty()) return respond(failure(405, std::string(path) + " wants " + std::string(method)));
  std::string paths;
  for (const Route& route : kRoutes) paths += (paths.empty() ? "" : ", ") + std::string(route.path);
  respond(failure(404, "there is no such path; known are " + paths));
}

}  // namespace vipgate::control
