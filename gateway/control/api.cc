#include "control/api.h"

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "control/metrics.h"
#include "control/status_json.h"

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

void get_status(const Request&, GatewayControl& gateway, const Respond& respond) {
  gateway.status([respond](const GatewayStatus& status) { respond(success(status_json(status))); });
}

void get_metrics(const Request&, GatewayControl& gateway, const Respond& respond) {
  gateway.status([respond](const GatewayStatus& status) {
    respond({.status = 200, .body = metrics_text(status), .content_type = kMetricsType});
  });
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
    default:
      return 500;
  }
}

Response failure(const absl::Status& status) {
  return failure(http_status_of(status), std::string(status.message()));
}

/// The request's {"backend": NAME}.
std::optional<std::string> backend_of(const Request& request) {
  const Json body = Json::parse(request.body, nullptr, /*allow_exceptions=*/false);
  if (!body.is_object() || body.size() != 1) return std::nullopt;
  const auto name = body.find("backend");
  if (name == body.end() || !name->is_string()) return std::nullopt;
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
    Route{"GET", "/v1/status", get_status},
    Route{"POST", "/v1/reload", reload},
    Route{"POST", "/v1/drain", drain},
    Route{"POST", "/v1/undrain", undrain},
    Route{"POST", "/v1/standby", set_standby<true>},
    Route{"POST", "/v1/activate", set_standby<false>},
    Route{"GET", "/metrics", get_metrics},
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
