#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "absl/status/status.h"
#include "config/config.h"
#include "device/kernel.h"
#include "device/tun.h"
#include "runtime/flow_storage.h"
#include "runtime/kernel_setup.h"
#include "runtime/worker_pool.h"

namespace vipgate {

/// A running gateway: the TUN, what is set up in the kernel for it, and the workers. Its own thread is the control
/// thread: signals, reloading, watching the kernel, the log. Packets never wait for it.
class Gateway {
 public:
  struct Options {
    std::string config_file;            ///< read again on SIGHUP
    std::optional<std::uint64_t> seed;  ///< none: random
  };

  Gateway(Options options, Config config, KernelInterface& kernel);

  /// Sets up, works until a signal, and undoes the set-up. An error says what stood in the way, or what went wrong; the
  /// set-up is undone all the same.
  absl::Status run();

 private:
  absl::Status start();
  void reload();
  void publish_rules();
  void watch();
  void wait_for_signal();
  void end(absl::Status status);
  void log_totals() const;

  Options options_;
  Config config_;
  KernelSetup kernel_setup_;
  std::optional<TunDevice> tun_;
  std::optional<FlowStorage> storage_;
  std::unique_ptr<WorkerPool> workers_;
  Rules rules_;  ///< those of the configuration, and what they say about this host
  std::uint32_t generation_ = 1;
  absl::Status watch_trouble_;  ///< why the last look at the kernel failed
  absl::Status result_;

  boost::asio::io_context context_{1};
  boost::asio::signal_set signals_{context_};
  boost::asio::steady_timer watch_timer_{context_};
};

}  // namespace vipgate
