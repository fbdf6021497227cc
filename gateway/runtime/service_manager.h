#pragma once

#include <string>

#include "absl/status/status.h"

namespace vipgate {

// What systemd is told (sd_notify(3)). Nothing happens where the process was not started by it.

/// The gateway works; this process is the service's main one, whoever was before.
void tell_ready();
/// The gateway ends.
void tell_stopping();
/// The gateway is well: to be called each second. Where that stays away for the unit's WatchdogSec=, it is restarted.
void tell_alive();

/// The path of the program that this process runs, as long as nobody replaces it.
std::string own_program();

/// Starts `program` with `run --takeover --config FILE`, as a child of nobody's: it is to take this process's place.
/// That it runs is not known yet when this returns.
absl::Status start_successor(const std::string& program, const std::string& config_file);

}  // namespace vipgate
