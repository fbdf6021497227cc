#include <iostream>
#include <string>

#include "cli/ask.h"

namespace vipgate {

ExitCode set_weight(const WeightCommand& command) {
  nlohmann::ordered_json body{{"backend", command.backend}, {"weight", nullptr}};
  if (command.weight) body["weight"] = *command.weight;
  const Answer answer = ask(command.gateway, "POST", "/v1/weight", body);
  if (command.json) return print_json(answer);
  if (answer.code != kDone) return answer.code;
  const std::string weight = command.weight ? std::to_string(*command.weight) : "as configured";
  for (const auto& name : answer.body["backends"]) std::cout << name.get<std::string>() << " weight " << weight << '\n';
  return kDone;
}

}  // namespace vipgate
