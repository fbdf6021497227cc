#pragma once

#include <atomic>
#include <cstdint>

#include "flow/flow_record.h"
#include "flow/hash.h"
#include "vipgate/adoption.h"
#include "vipgate/time.h"

// Records in memory that outlives its process: what makes them whole at any moment, and how the next process finds out.
//
// A process that is killed has done a prefix of its stores, in the order in which the program makes them: the processor
// keeps that order for whoever reads the memory later. So nothing but the compiler's freedom has to be held.

namespace vipgate {

/// Whatever was stored before is stored before what comes after.
inline void order_stores() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

/// Of a record's identity: tuples, protocol and kind.
std::uint32_t seal_of(const FlowRecord& record, const KeyedHash& hash);

/// Judges a record in use that another process left. True: it is a whole flow, and its fields now hold what they may
/// hold. What depends on rulesets is forgotten, since their numbers were another process's; the last time it was seen
/// is between the origin and `now`; TCP that was left is tracked liberally until both sides were heard.
bool make_fit(FlowRecord& record, const KeyedHash& hash, Time now, Found found = Found::left);

}  // namespace vipgate
