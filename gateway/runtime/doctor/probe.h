#pragma once

#include "config/config.h"
#include "runtime/doctor/finding.h"

namespace vipgate::doctor {

/// Opens a TCP connection to each backend that serves TCP on a known port, as its clients would, and closes it. Takes
/// two seconds at most.
void probe_backends(const Config& config, Report& report);

}  // namespace vipgate::doctor
