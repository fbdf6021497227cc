#include <iostream>

#include "cli/ask.h"

namespace vipgate {

ExitCode reload(const ReloadCommand& command) {
  const Answer answer = ask(command.gateway, "POST", "/v1/reload");
  if (command.json) return print_json(answer);
  if (answer.code != kDone) return answer.code;
  const auto& changes = answer.body["changes"];
  std::cout << (changes.empty() ? "reloaded; nothing changed" : "reloaded") << '\n';
  for (const auto& change : changes) std::cout << "  " << change.get<std::string>() << '\n';
  return kDone;
}

}  // namespace vipgate
