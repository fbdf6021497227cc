#include <iostream>

#include "cli/ask.h"

namespace vipgate {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

ExitCode end_flows(const FlowsCommand& command) {
  Json body = Json::object();
  for (const auto& [name, value] : command.wanted) {
    if (!value.empty()) body[name] = value;
  }
  if (body.empty() != command.all) {
    std::cerr << "vipgate: which flows? Name a filter, such as --service web, or --all\n";
    return kWrongInput;
  }
  if (command.all) body["all"] = true;
  std::uint64_t ended = 0;
  ExitCode code = kDone;
  for (Json next = "0.0"; code == kDone && !next.is_null();) {
    body["from"] = next;
    const Answer answer = ask(command.gateway, "POST", "/v1/flows/end", body);
    code = answer.code;
    if (code != kDone) break;
    ended += answer.body["ended"].get<std::uint64_t>();
    next = answer.body["next"];
  }
  if (code != kDone && ended == 0) return code;
  if (command.json) {
    std::cout << Json{{"ended", ended}}.dump(2) << '\n';
  } else {
    std::cout << ended << (ended == 1 ? " flow ended" : " flows ended") << '\n';
  }
  return code;
}

}  // namespace vipgate
