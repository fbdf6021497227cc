#include <iostream>

#include "cli/commands.h"
#include "config/load.h"
#include "device/netlink.h"
#include "runtime/keeper.h"
#include "runtime/kernel_setup.h"

namespace vipgate {

ExitCode clean(const CleanCommand& command) {
  const LoadResult loaded = load_config(command.config_file);
  for (const std::string& error : loaded.errors) std::cerr << error << '\n';
  if (!loaded.config) return kWrongInput;

  const auto kernel = NetlinkKernel::open();
  absl::Status status = kernel.status();
  if (status.ok()) {
    KernelSetup setup(**kernel, [](const std::string& line) { std::cout << line << '\n'; });
    status = setup.clean_up(*loaded.config);
  }
  if (status.ok()) {
    Keeper keeper(loaded.config->tun.name);
    (void)keeper.take_over();
    keeper.dismiss();
    return kDone;
  }
  std::cerr << "vipgate: " << status.message() << '\n';
  return kFailed;
}

}  // namespace vipgate
