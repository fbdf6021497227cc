#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "engine/ftp_session.h"
#include "engine/world.h"

// A kill at any moment: a child process does something with flows, one machine instruction at a time, and each state
// that the shared memory takes is what another process might find.

namespace vipgate::test {
namespace {

using std::chrono::seconds;

constexpr std::size_t kCapacity = 64 * 4;

std::string client(int number) {
  return "198.51.100.7:" + std::to_string(10000 + number);
}

/// Calls `look` with each state of the world's memory that `act` leads to, the last one included. Returns how many.
std::size_t at_every_store(const World& world, const std::function<void()>& act,
                           const std::function<void(const World::Image&)>& look) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    act();
    ::raise(SIGSTOP);
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  World::Image last = world.image();
  std::size_t states = 0;
  int status = 0;
  ::waitpid(child, &status, 0);
  while (WIFSTOPPED(status)) {
    if (::ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0) break;
    ::waitpid(child, &status, 0);
    if (WIFSTOPPED(status) && WSTOPSIG(status) != SIGTRAP) break;
    if (world.is_at(last)) continue;
    last = world.image();
    ++states;
    look(last);
    if (::testing::Test::HasFailure()) break;  // once is enough
  }
  ::ptrace(PTRACE_CONT, child, nullptr, nullptr);
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the child failed at what it was to do";
  return states;
}

bool may_trace() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

class KilledAnywhere : public ::testing::Test {
 protected:
  static Rules rules() {
    Rules rules = rules_with({{.name = "web"}, {.name = "ftp", .port = 21, .backends = {kFtpBackend}}});
    rules.vips[0].services[1].helper = Helper::ftp;
    rules.egress = {{.from = *Ipv4Prefix::parse("10.0.0.5"), .as = address("203.0.113.10"), .except = {}}};
    return rules;
  }

  void SetUp() override {
    if (!may_trace()) GTEST_SKIP() << "needs ptrace";
    for (int i = 0; i < 12; ++i) ASSERT_TRUE(bystanders_.emplace_back(world_, client(i)).open());
  }

  /// What was not touched goes on in the next process, and there is no broken record.
  void expect_others_go_on(const World::Image& image) {
    EXPECT_EQ(next_.restart(image).broken, 0U);
    for (const Connection& connection : bystanders_) {
      EXPECT_EQ(next_.send(connection.from_client().ack(500001).payload("x")).verdict.action, Action::forward);
    }
  }

  World world_{rules(), kCapacity};
  World next_{rules(), kCapacity};
  std::vector<Connection> bystanders_;
};

TEST_F(KilledAnywhere, Fault5_WhileAConnectionOpensAndCloses) {
  const std::size_t flows = world_.flows();
  Connection connection(world_, client(100));
  std::size_t seen = 0;
  const std::size_t states = at_every_store(
      world_, [&] { EXPECT_TRUE(connection.open() && connection.exchange() && connection.close_by_backend()); },
      [&](const World::Image& image) {
        expect_others_go_on(image);
        const std::size_t now = next_.flows();
        EXPECT_TRUE(now == flows || now == flows + 1) << now;
        EXPECT_GE(now, seen) << "once it was there, it stays";
        seen = now;
        EXPECT_EQ(Connection(next_, client(100)).syn().verdict.action == Action::drop, false);
      });
  EXPECT_GT(states, 15U);
  EXPECT_EQ(seen, flows + 1);
}

TEST_F(KilledAnywhere, Fault5_WhileAFlowTakesTheRecordOfAnother) {
  // A full shard: each new flow needs the record of one that was never answered.
  for (int i = 0; i < 2000; ++i) world_.send(tcp("192.0.2.1:" + std::to_string(2000 + i), "203.0.113.10:80").syn());
  const std::size_t flows = world_.flows();
  const std::size_t states = at_every_store(
      world_, [&] { world_.send(tcp("192.0.2.2:2000", "203.0.113.10:80").syn()); },
      [&](const World::Image& image) {
        expect_others_go_on(image);
        EXPECT_GE(next_.flows() + 1, flows);
      });
  EXPECT_GT(states, 5U);
}

TEST_F(KilledAnywhere, Fault5_WhileALineIsRewritten) {
  FtpControl control(world_);
  FtpControl other(world_, "198.51.100.7:41000");
  other.backend_says("227 Entering Passive Mode (10,0,0,4,200,9).\r\n");
  control.backend_says("227 Entering Passive Mode (10,0,0,4,200,10).\r\n");
  const std::string line = "227 Entering Passive Mode (10,0,0,4,200,11).\r\n";
  const std::size_t states = at_every_store(
      world_, [&] { EXPECT_EQ(control.backend_sends(line).verdict.action, Action::forward); },
      [&](const World::Image& image) {
        expect_others_go_on(image);
        // The backend does not know whether its line arrived, and sends it again.
        FtpControl again(next_, control);
        const std::string read = again.backend_says(line);
        open_data(next_, "198.51.100.7:50000", endpoint_in(read), "10.0.0.4:51211");
        again.client_says("NOOP\r\n");
        EXPECT_EQ(FtpControl(next_, other).client_says("NOOP\r\n"), "NOOP\r\n");
      });
  EXPECT_GT(states, 10U);
}

TEST_F(KilledAnywhere, Fault5_WhileAControlConnectionGetsItsHelper) {
  const std::string source = "198.51.100.7:42000";
  const std::size_t states = at_every_store(
      world_, [&] { FtpControl control(world_, source); },
      [&](const World::Image& image) {
        expect_others_go_on(image);
        const Outcome again = next_.send(tcp(source, kFtpVip).syn().seq(1000).mss(1460));
        EXPECT_NE(again.verdict.action, Action::drop) << name_of(again.verdict.reason);
      });
  EXPECT_GT(states, 15U);
}

TEST_F(KilledAnywhere, Fault5_WhileAPrivateHostGetsAndLosesItsPublicPort) {
  const auto send = [](World& world, const std::string& to) {
    return world.send(udp("10.0.0.5:4000", to).payload("x")).verdict.action;
  };
  const auto look = [&](const World::Image& image) {
    expect_others_go_on(image);
    EXPECT_EQ(send(next_, "192.0.2.80:443"), Action::forward);
    EXPECT_EQ(send(next_, "192.0.2.81:443"), Action::forward);
    EXPECT_EQ(next_.flows(), bystanders_.size() + 3) << "one mapping and its two flows";
  };
  EXPECT_GT(at_every_store(
                world_, [&] { EXPECT_EQ(send(world_, "192.0.2.80:443"), Action::forward); }, look),
            10U);
  // The child's memory is ours, its engine's index is not: a restart finds the flow. Then it expires.
  world_.restart();
  ASSERT_EQ(world_.flows(), bystanders_.size() + 2);
  const Duration idle = Timeouts().udp_one_way;
  world_.pass_time(idle - seconds(1));
  next_.pass_time(idle - seconds(1));
  const std::size_t states = at_every_store(
      world_, [&] { world_.pass_time(seconds(3)); }, look);
  EXPECT_GE(states, 4U);
}

}  // namespace
}  // namespace vipgate::test
