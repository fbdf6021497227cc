#include "flow/flow_list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <random>
#include <vector>

namespace vipgate::test {
namespace {

using List = FlowList<&FlowRecord::queue>;

std::vector<FlowId> forwards(const List& list, std::span<const FlowRecord> records) {
  std::vector<FlowId> ids;
  for (FlowId id = list.front(); id != kNoFlow; id = records[id].queue.next) ids.push_back(id);
  return ids;
}

TEST(FlowList, agrees_with_a_list_through_random_use) {
  std::vector<FlowRecord> records(20);
  List list;
  std::list<FlowId> model;
  std::mt19937 random(1);
  for (int round = 0; round < 50000; ++round) {
    const auto id = static_cast<FlowId>(random() % records.size());
    const auto known = std::find(model.begin(), model.end(), id);
    if (known == model.end()) {
      list.push_back(records, id);
      model.push_back(id);
    } else {
      list.remove(records, id);
      model.erase(known);
      ASSERT_EQ(records[id].queue.next, kNoFlow);
      ASSERT_EQ(records[id].queue.previous, kNoFlow);
    }
    ASSERT_EQ(forwards(list, records), std::vector<FlowId>(model.begin(), model.end()));
    ASSERT_EQ(list.empty(), model.empty());
  }
}

TEST(FlowList, links_of_different_lists_do_not_meet) {
  std::vector<FlowRecord> records(2);
  List queue;
  FlowList<&FlowRecord::timer> timer;
  queue.push_back(records, 0);
  queue.push_back(records, 1);
  timer.push_back(records, 1);
  timer.push_back(records, 0);
  EXPECT_EQ(queue.front(), 0U);
  EXPECT_EQ(timer.front(), 1U);
  timer.remove(records, 1);
  EXPECT_EQ(forwards(queue, records), (std::vector<FlowId>{0, 1}));
}

}  // namespace
}  // namespace vipgate::test
