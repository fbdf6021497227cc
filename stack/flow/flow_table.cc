#include "flow/flow_table.h"

#include <algorithm>

namespace vipgate {

FlowTable::FlowTable(std::span<FlowRecord> records, std::span<IndexBucket> index, KeyedHash hash)
    : records_(records), hash_(hash), index_(index, records, hash) {}

FlowId FlowTable::take_free_record() {
  if (first_free_ != kNoFlow) {
    const FlowId id = first_free_;
    first_free_ = records_[id].timer.next;
    return id;
  }
  return first_fresh_ < records_.size() ? first_fresh_++ : kNoFlow;
}

void FlowTable::prefetch_room() const {
  const FlowId id = first_free_ != kNoFlow ? first_free_ : first_fresh_;
  if (id >= records_.size()) return;
  __builtin_prefetch(&records_[id], 1);
  __builtin_prefetch(&records_[id].timer, 1);  // in its second line
}

FlowId FlowTable::first_to_give_way() const {
  const auto queue = std::find_if(queues_.begin(), queues_.end() - 1, [](const auto& q) { return !q.empty(); });
  return queue == queues_.end() - 1 ? kNoFlow : queue->front();
}

void FlowTable::set_free(FlowId id) {
  records_[id].timer.next = first_free_;
  first_free_ = id;
}

FlowId FlowTable::insert(const FlowRecord& flow, Duration timeout) {
  const FlowId id = take_free_record();
  if (id == kNoFlow) return kNoFlow;
  FlowRecord& record = records_[id];
  FlowRecord fresh = flow;
  fresh.protocol = Protocol{0};
  fresh.seal = seal_of(flow, hash_);
  record = fresh;
  order_stores();
  record.protocol = flow.protocol;
  join(id, record.last_seen + timeout);
  return id;
}

/// The record is in use: it is to be found, timed and ranked.
void FlowTable::join(FlowId id, Time deadline) {
  index_.insert(id, Direction::original);
  index_.insert(id, Direction::reply);
  wheel_.schedule(records_, id, deadline);
  queues_[static_cast<std::size_t>(records_[id].flow_class)].push_back(records_, id);
  ++size_;
}

void FlowTable::update(FlowId id, FlowClass flow_class, Duration timeout) {
  FlowRecord& record = records_[id];
  if (record.flow_class != flow_class) {
    queues_[static_cast<std::size_t>(record.flow_class)].remove(records_, id);
    record.flow_class = flow_class;
    queues_[static_cast<std::size_t>(flow_class)].push_back(records_, id);
  }
  // A later deadline is found out when the slot comes; an earlier one has to move now.
  const Time deadline = record.last_seen + timeout;
  if (wheel_.is_earlier(record, deadline)) {
    wheel_.cancel(records_, id);
    wheel_.schedule(records_, id, deadline);
  }
}

void FlowTable::erase(FlowId id) {
  FlowRecord& record = records_[id];
  index_.erase(id, Direction::original);
  index_.erase(id, Direction::reply);
  wheel_.cancel(records_, id);
  queues_[static_cast<std::size_t>(record.flow_class)].remove(records_, id);
  record.protocol = Protocol{0};
  order_stores();
  set_free(id);
  --size_;
}

}  // namespace vipgate
