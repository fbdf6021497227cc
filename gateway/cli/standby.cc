#include "cli/ask.h"

namespace vipgate {

ExitCode set_standby(const StandbyCommand& command) {
  return ask(command.gateway, "POST", command.standby ? "/v1/standby" : "/v1/activate").code;
}

}  // namespace vipgate
