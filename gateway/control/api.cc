#include "control/api.h"

#include <array>
#include <utility>

#include <nlohmann/json.hpp>

#include "control/status_json.h"

namespace vipgate::control {
namespace {

using Json = nlohmann::ordered_json;
using Respond = std::function<void(Response)>;

Response failure(int status, const std::string& what) {
  return {status, Json{{"error", what}}.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

Response success(const Json& body) {
  // Names from files may be anything: what is no UTF-8 is replaced rather than thrown over.
  return {200, body.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

void get_status(const Request&, GatewayControl& gateway, const Respond& respond) {
  gateway.status([respond](const GatewayStatus& status) { respond(success(status_json(status))); });
}

void reload(const Request&, GatewayControl& gateway, const Respond& respond) {
  const ReloadResult result = gateway.reload();
  if (result.accepted) return respond(success({{"changes", result.lines}}));
  const Json body{{"error", "reload refused; the running configuration stays"}, {"details", result.lines}};
  respond({409, success(body).body});
}

struct Route {
  std::string_view method;
  std::string_view path;
  void (*answer)(const Request&, GatewayControl&, const Respond&);
};
constexpr std::array kRoutes{
    Route{"GET", "/v1/status", get_status},
    Route{"POST", "/v1/reload", reload},
};

}  // namespace

void answer(const Request& request, GatewayControl& gateway, const Respond& respond) {
  const std::string_view path = std::string_view(request.target).substr(0, request.target.find('?'));
  std::string_view method;
  for (const Route& route : kRoutes) {
    if (route.path != path) continue;
    if (route.method == request.method) return route.answer(request, gateway, respond);
    method = route.method;
  }
  if (!method.empty()) return respond(failure(405, std::string(path) + " wants " + std::string(method)));
  std::string paths;
  for (const Route& route : kRoutes) paths += (paths.empty() ? "" : ", ") + std::string(route.path);
  respond(failure(404, "there is no such path; known are " + paths));
}

}  // namespace vipgate::control
