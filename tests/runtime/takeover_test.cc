#include "runtime/takeover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include "device/descriptors.h"
#include "vipgate/engine.h"

namespace vipgate::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

UniqueFd any_file() {
  std::array<int, 2> pipe{};
  EXPECT_EQ(::pipe(pipe.data()), 0);
  const UniqueFd other(pipe[1]);
  return UniqueFd(pipe[0]);
}

Estate example_estate() {
  Estate estate{.started = Time(std::chrono::seconds(77)),
                .generation = 5,
                .standby = true,
                .kernel_protocol = 86,
                .workers = std::vector<WorkerCounters>(2),
                .signs = {{.vip = "203.0.113.10",
                           .service = "web",
                           .backend = "a",
                           .signs = {.opened = 7, .flows = 0, .refused = 2, .unanswered = 1}}},
                .device_lock = any_file(),
                .protocol_lock = any_file(),
                .folder_lock = any_file(),
                .flows = any_file(),
                .listener = any_file()};
  estate.queues.push_back(any_file());
  estate.queues.push_back(any_file());
  estate.workers[1].packets_read = 12;
  estate.workers[1].engine.flows_opened = 3;
  estate.workers[1].engine.reasons[static_cast<std::size_t>(Reason::no_service)] = 9;
  return estate;
}

TEST(Estate, ArrivesAsItWasSent) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair.data()), 0);
  const UniqueFd one(pair[0]);
  const UniqueFd other(pair[1]);
  for (const bool keeper : {false, true}) {
    Estate sent = example_estate();
    if (keeper) sent.keeper = any_file();
    ASSERT_TRUE(send_estate(one, "yours", sent).ok());
    auto message = receive_message(other);
    ASSERT_TRUE(message.ok());
    EXPECT_EQ(message->text, "yours");
    const auto got = read_estate(std::move(message->descriptors));
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(got->started, sent.started);
    EXPECT_EQ(got->generation, 5U);
    EXPECT_TRUE(got->standby);
    EXPECT_EQ(got->kernel_protocol, 86);
    EXPECT_EQ(got->signs, sent.signs);
    ASSERT_EQ(got->workers.size(), 2U);
    EXPECT_EQ(got->workers[1].packets_read, 12U);
    EXPECT_EQ(got->workers[1].engine, sent.workers[1].engine);
    EXPECT_EQ(got->queues.size(), 2U);
    EXPECT_EQ(static_cast<bool>(got->keeper), keeper);
  }
}

TEST(Estate, SignsOfBackendsGoOnByTheirNames) {
  Rules rules;
  rules.vips.emplace_back();
  rules.vips[0].address = *Ipv4Address::parse("203.0.113.10");
  for (const char* name : {"web", "dns"}) {
    Service service{.name = name,
                    .protocols = {Protocol::tcp},
                    .ports = {{80, 80}},
                    .masquerade = {},
                    .idle_timeout = {},
                    .backends = std::vector<Backend>(2)};
    service.backends[0].name = "a";
    service.backends[1].name = "b";
    rules.vips[0].services.push_back(service);
  }
  rules.vips[0].services[1].ports = {{53, 53}};
  const auto ruleset = compile(rules, 1);
  const std::vector<Estate::Signs> earlier{
      {.vip = "203.0.113.10", .service = "dns", .backend = "b", .signs = {.opened = 7, .refused = 2, .unanswered = 1}},
      {.vip = "203.0.113.10", .service = "gone", .backend = "b", .signs = {.opened = 1}}};
  continue_signs(*ruleset, earlier);
  const std::vector<Estate::Signs> now = signs_of(*ruleset);
  ASSERT_EQ(now.size(), 4U);
  for (const Estate::Signs& one : now) {
    const bool same = one.service == "dns" && one.backend == "b";
    EXPECT_EQ(one.signs, same ? earlier[0].signs : BackendSigns{}) << one.service << '/' << one.backend;
  }
}

TEST(Estate, WhatCannotBeReadIsNoEstate) {
  EXPECT_FALSE(read_estate({}).ok());
  std::vector<UniqueFd> few;
  few.push_back(any_file());
  EXPECT_FALSE(read_estate(std::move(few)).ok());
}

/// The running gateway's end in this thread, with an owner that only remembers; the new one's in another.
class TakeoverTest : public ::testing::Test, protected TakeoverServer::Owner {
 protected:
  explicit TakeoverTest(std::chrono::milliseconds patience = kPatience) : server_(context_, *this, patience) {}

  absl::StatusOr<Estate> hand_over(const TakeoverRequest& request) override {
    said_.push_back("hand over " + request.state_dir);
    if (request.max_flows == 13) return absl::FailedPreconditionError("not thirteen");
    return example_estate();
  }
  void take_back(const std::string& why) override { end("take back, " + why); }
  void leave() override { end("leave"); }
  void end(const std::string& what) {
    said_.push_back(what);
    ended_.set_value();
    context_.stop();
  }

  template <typename New>
  void run(New&& new_process) {
    ASSERT_TRUE(server_.listen(device_).ok());
    std::thread thread([&] { new_process(); });
    context_.run_for(2 * kPatience);
    thread.join();
  }
  absl::StatusOr<std::optional<Takeover>> ask(std::size_t max_flows = 0) {
    return Takeover::ask(device_, {.flow_layout = kFlowLayout, .state_dir = "/x", .max_flows = max_flows});
  }

  UniqueFd told_to_go() const {
    auto connection = connect_to(socket_);
    EXPECT_TRUE(connection.ok());
    for (const char* message : {R"({"protocol":1,"flow_layout":1,"state_dir":"/x","max_flows":0})", "ready"}) {
      EXPECT_TRUE(send_message(*connection, message).ok());
      EXPECT_TRUE(receive_message(*connection).ok());
    }
    return *std::move(connection);
  }

  /// For the new one: lets the running one's patience end.
  void wait_for_end() { EXPECT_EQ(ended_.get_future().wait_for(kPatience), std::future_status::ready); }

  static constexpr std::chrono::seconds kPatience{20};

  std::string device_ = "test-" + std::to_string(::getpid());
  std::string socket_ = "vipgate/takeover/" + device_;
  boost::asio::io_context context_;
  TakeoverServer server_;
  std::vector<std::string> said_;
  std::promise<void> ended_;
};

/// With little patience.
class SilentTakeoverTest : public TakeoverTest {
 protected:
  SilentTakeoverTest() : TakeoverTest(std::chrono::milliseconds(300)) {}
};

TEST_F(TakeoverTest, NobodyRuns) {
  const auto asked = ask();
  ASSERT_TRUE(asked.ok()) << asked.status();
  EXPECT_FALSE(asked->has_value());
}

TEST_F(TakeoverTest, TheNewOneTakesCharge) {
  run([this] {
    auto takeover = ask();
    ASSERT_TRUE(takeover.ok() && takeover->has_value());
    EXPECT_EQ((*takeover)->estate().generation, 5U);
    EXPECT_TRUE((*takeover)->take_charge().ok());
    (*takeover)->say_running();
  });
  EXPECT_THAT(said_, ElementsAre("hand over /x", "leave"));
}

TEST_F(TakeoverTest, Fault7_TheNewOneEndsBeforeItIsReady) {
  run([this] { EXPECT_TRUE(ask().ok()); });
  EXPECT_THAT(said_, ElementsAre("hand over /x", "take back, it has ended"));
}

TEST_F(TakeoverTest, Fault7_TheNewOneEndsBeforeItRuns) {
  run([this] {
    auto takeover = ask();
    ASSERT_TRUE(takeover.ok() && takeover->has_value());
    EXPECT_TRUE((*takeover)->take_charge().ok());
  });
  EXPECT_THAT(said_, ElementsAre("hand over /x", "take back, it has ended"));
}

TEST_F(SilentTakeoverTest, Fault7_TheNewOneSaysNothingForTooLong) {
  run([this] {
    auto takeover = ask();
    ASSERT_TRUE(takeover.ok() && takeover->has_value());
    wait_for_end();
    EXPECT_FALSE((*takeover)->take_charge().ok()) << "the other one is in charge again";
  });
  EXPECT_THAT(said_, ElementsAre("hand over /x", "take back, it has said nothing for too long"));
}

TEST_F(SilentTakeoverTest, Fault7_TheNewOneIsInChargeOnceItWasToldSo) {
  run([this] {
    const UniqueFd connection = told_to_go();
    wait_for_end();
  });
  EXPECT_THAT(said_, ElementsAre("hand over /x", "leave")) << "it says nothing, and two must not be in charge";
}

TEST_F(TakeoverTest, Fault7_TheNewOneIsInChargeWhateverItSays) {
  run([this] {
    const UniqueFd connection = told_to_go();
    EXPECT_TRUE(send_message(connection, "what is this").ok());
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  });
  EXPECT_THAT(said_, ElementsAre("hand over /x", "leave"));
}

TEST_F(SilentTakeoverTest, WhoConnectsAndAsksForNothingIsNoMatter) {
  run([this] {
    { const auto silent = connect_to(socket_); }
    const auto slow = connect_to(socket_);
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    EXPECT_TRUE(ask().ok());
  });
  EXPECT_THAT(said_, ElementsAre("hand over /x", "take back, it has ended"));
}

TEST_F(TakeoverTest, TheRunningOneSaysWhatNobodyExpects) {
  auto listener = listen_at(socket_);
  ASSERT_TRUE(listener.ok());
  std::thread thread([&] {
    const UniqueFd connection(::accept(listener->get(), nullptr, nullptr));
    EXPECT_TRUE(receive_message(connection).ok());
    EXPECT_TRUE(send_estate(connection, "yours", example_estate()).ok());
    EXPECT_TRUE(receive_message(connection).ok());
    EXPECT_TRUE(send_message(connection, "stop").ok());
  });
  auto takeover = ask();
  EXPECT_TRUE(takeover.ok() && takeover->has_value());
  EXPECT_THAT((*takeover)->take_charge().ToString(), HasSubstr("the running gateway said stop"));
  thread.join();
}

TEST_F(TakeoverTest, AnotherUserIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  run([this] {
    constexpr uid_t kNobody = 65534;
    // Of this thread alone, which glibc's function would not do.
    ASSERT_EQ(::syscall(SYS_setresuid, -1, kNobody, -1), 0);
    const auto connection = connect_to(socket_);
    ASSERT_TRUE(connection.ok());
    EXPECT_THAT(receive_message(*connection)->text, HasSubstr("only its own user may"));
    ASSERT_EQ(::syscall(SYS_setresuid, -1, 0, -1), 0);
    EXPECT_TRUE(ask().ok());
  });
  EXPECT_THAT(said_, ElementsAre("hand over /x", "take back, it has ended"));
}

TEST_F(TakeoverTest, ARefusalSaysWhyAndTheNextOneIsHeard) {
  run([this] {
    EXPECT_THAT(ask(13).status().ToString(), HasSubstr("not thirteen"));
    EXPECT_TRUE(ask().ok());
  });
  EXPECT_THAT(said_, ElementsAre("hand over /x", "hand over /x", "take back, it has ended"));
}

TEST_F(TakeoverTest, AnotherProtocolIsRefused) {
  run([this] {
    const auto asked = Takeover::ask(device_, {.protocol = 2, .flow_layout = 1, .state_dir = "/x"});
    EXPECT_THAT(asked.status().ToString(), HasSubstr("speaks version 1 of the take-over, and the new one 2"));
    const auto of_the_future = connect_to(socket_);
    EXPECT_TRUE(send_message(*of_the_future, R"({"protocol": 3, "other": "words"})").ok());
    EXPECT_THAT(receive_message(*of_the_future)->text, HasSubstr("and the new one 3"));
    EXPECT_TRUE(ask().ok());
  });
}

}  // namespace
}  // namespace vipgate::test
