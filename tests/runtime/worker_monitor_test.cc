#include "runtime/worker_monitor.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vipgate {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class WorkerMonitorTest : public testing::Test {
 protected:
  void answer(std::size_t worker, std::uint64_t packets) {
    WorkerCounters counters;
    counters.packets_read = packets;
    const auto found = asked_.find(worker);
    ASSERT_NE(found, asked_.end());
    const auto reply = found->second;
    asked_.erase(found);
    reply(counters);
    context_.poll();
    context_.restart();
  }

  boost::asio::io_context context_;
  std::map<std::size_t, std::function<void(const WorkerCounters&)>> asked_;
  int questions_ = 0;
  WorkerMonitor monitor_{context_, 2, [this](std::size_t worker, auto answer) {
                           asked_[worker] = std::move(answer);
                           ++questions_;
                         }};
  WorkerMonitor::Clock::time_point now_ = WorkerMonitor::Clock::now();
};

TEST_F(WorkerMonitorTest, KeepsWhatWorkersAnswer) {
  monitor_.check(now_);
  answer(0, 5);
  answer(1, 7);
  EXPECT_EQ(monitor_.reports()[0].counters.packets_read, 5U);
  EXPECT_EQ(monitor_.reports()[1].counters.packets_read, 7U);
}

TEST_F(WorkerMonitorTest, Fault22_NamesTheWorkerThatIsStuckOnce) {
  EXPECT_THAT(monitor_.check(now_), IsEmpty());
  answer(0, 1);
  EXPECT_THAT(monitor_.check(now_ + seconds(1)), IsEmpty());
  answer(0, 2);
  EXPECT_THAT(monitor_.check(now_ + seconds(2)), ElementsAre(HasSubstr("worker 1 is stuck")));
  EXPECT_TRUE(monitor_.reports()[1].stuck);
  EXPECT_FALSE(monitor_.reports()[0].stuck);
  answer(0, 3);
  EXPECT_THAT(monitor_.check(now_ + seconds(3)), IsEmpty());
  answer(0, 4);
  EXPECT_EQ(questions_, 5) << "one question at a time to a worker that is stuck";
  answer(1, 1);
  EXPECT_THAT(monitor_.check(now_ + seconds(4)), ElementsAre("worker 1 answers again"));
  EXPECT_FALSE(monitor_.reports()[1].stuck);
}

TEST_F(WorkerMonitorTest, ARefreshEndsWhenAllHaveAnswered) {
  int done = 0;
  monitor_.refresh([&] { ++done; });
  monitor_.refresh([&] { ++done; });
  answer(0, 1);
  EXPECT_EQ(done, 0);
  answer(1, 1);
  EXPECT_EQ(done, 2);
}

TEST_F(WorkerMonitorTest, ARefreshEndsWithoutAWorkerThatIsStuck) {
  int done = 0;
  monitor_.refresh([&] { ++done; });
  answer(0, 3);
  context_.run();
  EXPECT_EQ(done, 1);
  EXPECT_EQ(monitor_.reports()[0].counters.packets_read, 3U);
}

TEST_F(WorkerMonitorTest, AnAnswerAfterTheEndIsNotTaken) {
  std::function<void(const WorkerCounters&)> late;
  {
    WorkerMonitor monitor(context_, 1, [&](std::size_t, auto answer) { late = std::move(answer); });
    monitor.check(now_);
  }
  late({});
  context_.run();
}

}  // namespace
}  // namespace vipgate
