#include "cli/ask.h"

namespace vipgate {

ExitCode set_standby(const StandbyCommand& command) {
  const Answer answer = ask(command.gateway, "POST", command.standby ? "/v1/standby" : "/v1/activate");
  return command.json ? print_json(answer) : answer.code;
}

}  // namespace vipgate
