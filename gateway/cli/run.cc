#include <iostream>

#include "cli/commands.h"
#include "config/load.h"
#include "device/netlink.h"
#include "runtime/gateway.h"
#include "runtime/log.h"

namespace vipgate {

ExitCode run(const RunCommand& command) {
  LoadResult loaded = load_config(command.config_file);
  for (const std::string& error : loaded.errors) std::cerr << error << '\n';
  if (!loaded.config) return kWrongInput;

  const auto kernel = NetlinkKernel::open();
  absl::Status status = kernel.status();
  if (status.ok()) {
    Gateway gateway({.config_file = command.config_file, .seed = command.seed}, *std::move(loaded.config), **kernel);
    status = gateway.run();
  }
  if (status.ok()) return kDone;
  log_error(std::string(status.message()));
  return kFailed;
}

}  // namespace vipgate
