#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "config/draft.h"
#include "config/errors.h"
#include "config/json_tree.h"

// The sections of the file that stand for themselves. What clashes with other sections is found later: conflicts.h.
namespace vipgate::config {

/// `needs_subnet`: some VIP is not an address of this host.
void read_tun(const JsonValue& value, bool needs_subnet, Config::Tun& tun, DraftList<Ipv4Prefix>& subnets,
              Errors& errors);
void read_egress(const JsonValue& value, std::vector<DraftEgress>& egress, Errors& errors);
void read_flows(const JsonValue& value, Config::Flows& flows, Errors& errors);
void read_timeouts(const JsonValue& value, Timeouts& timeouts, Errors& errors);
void read_kernel(const JsonValue& value, Config::Kernel& kernel, Errors& errors);
/// `value`: none where the section is not there.
void read_control(const JsonValue* value, const std::string& state_dir, Config::Control& control, Errors& errors);

}  // namespace vipgate::config
