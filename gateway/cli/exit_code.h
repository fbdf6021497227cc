#pragma once

namespace vipgate {

/// What a command returns to the shell.
enum ExitCode : int {
  kDone = 0,
  kFailed = 1,      ///< while starting or running
  kDiffer = 1,      ///< `replay --diff`, as diff(1): something would be treated otherwise
  kWrongInput = 2,  ///< command line, configuration or capture
  kStandingBy = 3,  ///< `status --quiet`: the VIPs are not announced, and could be
};

}  // namespace vipgate
