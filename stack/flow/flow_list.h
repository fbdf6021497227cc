#pragma once

#include <span>

#include "flow/flow_record.h"

namespace vipgate {

/// A doubly linked list of records through one of their links. Every operation takes the records, which it does not
/// own.
template <FlowLinks FlowRecord::*kLinks>
class FlowList {
 public:
  bool empty() const { return head_ == kNoFlow; }
  FlowId front() const { return head_; }

  void push_back(std::span<FlowRecord> records, FlowId id) {
    records[id].*kLinks = {.next = kNoFlow, .previous = tail_};
    (tail_ == kNoFlow ? head_ : (records[tail_].*kLinks).next) = id;
    tail_ = id;
  }

  void remove(std::span<FlowRecord> records, FlowId id) {
    const FlowLinks links = records[id].*kLinks;
    (links.previous == kNoFlow ? head_ : (records[links.previous].*kLinks).next) = links.next;
    (links.next == kNoFlow ? tail_ : (records[links.next].*kLinks).previous) = links.previous;
    records[id].*kLinks = {};
  }

 private:
  FlowId head_ = kNoFlow;
  FlowId tail_ = kNoFlow;
};

}  // namespace vipgate
