#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "flow/flow_index.h"
#include "flow/flow_record.h"
#include "nat/helper_record.h"
#include "vipgate/engine.h"

namespace vipgate {

/// The part of a FlowMemory that belongs to one shard.
struct ShardMemory {
  std::span<FlowRecord> records;
  std::span<IndexBucket> index;  ///< empty where the memory has none
  std::span<HelperPool::Place> helpers;
};
ShardMemory memory_of_shard(const FlowMemory& memory, std::uint32_t shard);

}  // namespace vipgate
