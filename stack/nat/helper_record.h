#pragma once

#include <type_traits>

#include "flow/record_pool.h"
#include "flow/tuple.h"
#include "nat/ftp.h"

namespace vipgate {

/// What a control connection needs beyond its FlowRecord. Plain data, as that.
struct HelperRecord {
  FtpState ftp;
  Tuple expected;  ///< the original tuple of the expectation that was announced last; ports 0 where there is none
};
static_assert(std::is_trivially_copyable_v<HelperRecord> && sizeof(HelperRecord) <= 512);

using HelperPool = RecordPool<HelperRecord>;

}  // namespace vipgate
