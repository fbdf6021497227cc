#include <cstdlib>
#include <iostream>
#include <string>
#include <utility>

#include "cli/commands.h"
#include "config/load.h"
#include "control/server.h"
#include "device/netlink.h"
#include "runtime/gateway.h"
#include "runtime/log.h"

namespace vipgate {
namespace {

ExitCode report(const absl::Status& status) {
  if (status.ok()) return kDone;
  log_error(std::string(status.message()));
  return kFailed;
}

}  // namespace

ExitCode run(const RunCommand& command) {
  LoadResult loaded = load_config(command.config_file);
  for (const std::string& error : loaded.errors) std::cerr << error << '\n';
  if (!loaded.config) return kWrongInput;

  const auto kernel = NetlinkKernel::open();
  if (!kernel.ok()) return report(kernel.status());
  boost::asio::io_context context(1);
  const Config::Control control = loaded.config->control;
  Gateway gateway(context,
                  {.config_file = command.config_file,
                   .seed = command.seed,
                   .standby = command.standby,
                   .takeover = command.takeover},
                  *std::move(loaded.config), **kernel);
  absl::Status status;
  {
    control::Server server(context, gateway);
    status = gateway.run([&] {
      absl::Status listening = server.listen(control.socket, control.group);
      if (listening.ok() && control.http) server.listen(*control.http);
      return listening;
    });
  }
  const ExitCode code = report(status);
  if (gateway.has_left_worker_behind()) std::_Exit(code);
  return code;
}

}  // namespace vipgate
