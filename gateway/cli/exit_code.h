#pragma once

namespace vipgate {

/// What a command returns to the shell.
enum ExitCode : int {
  kDone = 0,
  kFailed = 1,      ///< while starting or running
  kWrongInput = 2,  ///< command line, configuration or capture
  kStandingBy = 3,  ///< `status --quiet`: the VIPs are not announced, and could be
};

}  // namespace vipgate
