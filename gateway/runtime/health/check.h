#pragma once

#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>

#include "config/health_check.h"
#include "runtime/health/check_result.h"
#include "vipgate/address.h"

namespace vipgate {

/// Called once, from the io_context and never from within the start, unless the check is cancelled first.
using CheckDone = std::function<void(const CheckResult&)>;

/// A check under way. It has no time limit of its own.
class RunningCheck {
 public:
  virtual ~RunningCheck() = default;

  /// Gives it up, if it is still under way. Returns what it waited for: "no connection".
  virtual std::string cancel() = 0;
};

// Each starts a check from this host directly to the backend, which may outlive the pointer that it returns.

/// Opens a connection and closes it.
std::shared_ptr<RunningCheck> start_tcp_check(boost::asio::io_context& context, const Endpoint& backend,
                                              CheckDone done);

/// Asks for `check.path` and reads the header of the answer, at most 8 KiB of it.
std::shared_ptr<RunningCheck> start_http_check(boost::asio::io_context& context, const Endpoint& backend,
                                               const HealthCheck& check, CheckDone done);

/// Runs `check.command`, which passes with exit code 0, in a process group of its own, without this process's
/// descriptors. What is left of the group is killed when the program ends or the check is cancelled.
std::shared_ptr<RunningCheck> start_exec_check(boost::asio::io_context& context, const Endpoint& backend,
                                               const HealthCheck& check, const std::string& service, CheckDone done);

}  // namespace vipgate
