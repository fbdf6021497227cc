#include "cli/ask.h"

#include <iostream>

#include "config/load.h"
#include "control/client.h"

namespace vipgate {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

std::string socket_of(const GatewayAddress& gateway) {
  if (!gateway.socket.empty()) return gateway.socket;
  const LoadResult loaded = load_config(gateway.config_file);
  if (loaded.config) return loaded.config->control.socket;
  for (const std::string& error : loaded.errors) std::cerr << error << '\n';
  std::cerr << "vipgate: which gateway? Mend the file above, or name its socket with --socket\n";
  return {};
}

Answer answer_of(const control::Response& response) {
  Answer answer{kDone, Json::parse(response.body, nullptr, /*allow_exceptions=*/false)};
  if (response.status == 200 && !answer.body.is_discarded()) return answer;
  answer.code = response.status >= 400 && response.status < 500 ? kWrongInput : kFailed;
  if (!answer.body.is_object()) {
    std::cerr << "vipgate: the gateway answered with status " << response.status << " and no reason\n";
    return answer;
  }
  for (const Json& detail : answer.body.value("details", Json::array())) std::cerr << detail.get<std::string>() << '\n';
  std::cerr << "vipgate: " << answer.body.value("error", "refused") << '\n';
  return answer;
}

Answer ask(const GatewayAddress& gateway, const std::string& method, const std::string& target, const Json& body) {
  const std::string socket = socket_of(gateway);
  if (socket.empty()) return {kWrongInput, nullptr};
  const auto response = control::ask(socket, {method, target, body.is_null() ? "" : body.dump()});
  if (!response.ok()) {
    std::cerr << "vipgate: " << response.status().message() << '\n';
    return {kFailed, nullptr};
  }
  return answer_of(*response);
}

ExitCode print_json(const Answer& answer) {
  if (answer.body.is_structured()) std::cout << answer.body.dump(2) << '\n';
  return answer.code;
}

}  // namespace vipgate
