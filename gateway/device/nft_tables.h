#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace vipgate {

/// The names of nftables' tables that IPv4 packets pass ("inet filter"), in this network namespace, without nft(8).
/// Empty too where the kernel has no nftables. PermissionDenied without CAP_NET_ADMIN.
absl::StatusOr<std::vector<std::string>> nft_tables();

}  // namespace vipgate
