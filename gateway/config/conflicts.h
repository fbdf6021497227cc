#pragma once

#include <string>

#include "config/draft.h"
#include "config/errors.h"

namespace vipgate::config {

/// Finds values that are right alone and wrong together. Every error names both places. Sorts, so that large files stay
/// fast.
void check_subnets(const DraftList<Ipv4Prefix>& subnets, Errors& errors);
void check_addresses(const Draft& draft, Errors& errors);
void check_interfaces(const Draft& draft, const std::string& tun, Errors& errors);
void check_services(const Draft& draft, Errors& errors);
void check_backends(const Draft& draft, Errors& errors);
void check_egress(const Draft& draft, Errors& errors);

}  // namespace vipgate::config
