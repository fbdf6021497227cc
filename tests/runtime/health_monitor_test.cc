// Targets, turns, limits and the log of the monitor, with checks over real sockets.

#include "runtime/health/health_monitor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/resource.h>

#include <algorithm>
#include <memory>

#include "device/namespace.h"
#include "health_server.h"
#include "support/temporary_folder.h"

namespace vipgate {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::SizeIs;
using testing::StartsWith;

using Named = HealthMonitor::Named;

Named tcp(const Endpoint& backend, Duration interval = 100ms) {
  Named named{.target = {.backend = backend}, .name = "web/a (" + backend.to_string() + ")"};
  named.target.check.type = HealthType::tcp;
  named.target.check.interval = interval;
  named.target.check.timeout = std::min<Duration>(interval, 1s);
  return named;
}

Named with_type(HealthType type, Named named) {
  named.target.check.type = type;
  return named;
}

Named program(std::vector<std::string> command, Duration interval = 100ms) {
  Named named = with_type(HealthType::exec, tcp({Ipv4Address(0x0A000002), 80}, interval));
  named.target.check.command = std::move(command);
  return named;
}

/// A monitor, what it said, and whose state changed.
struct Watch {
  explicit Watch(boost::asio::io_context& context, HealthMonitor::Options options = {})
      : monitor(
            context, std::move(options), [this](HealthMonitor::Id id) { changed.push_back(id); },
            [this](LogLevel level, const std::string& line) {
              log.push_back((level == LogLevel::warning ? "warning: " : "") + line);
            }) {}

  std::uint64_t checks(HealthMonitor::Id id = 0) const { return monitor.report(id).checks; }

  std::vector<HealthMonitor::Id> changed;
  std::vector<std::string> log;
  HealthMonitor monitor;
};

class HealthMonitorTest : public testing::Test {
 protected:
  bool until(const std::function<bool()>& condition) { return run_until(context_, condition); }

  boost::asio::io_context context_{1};
};

TEST_F(HealthMonitorTest, ABackendThatAnswersStaysUp) {
  HealthServer server(context_, {});
  Watch watch(context_);
  watch.monitor.set_targets({tcp(server.endpoint())});
  EXPECT_EQ(watch.monitor.state(0), Health::up) << "before the first check too";
  EXPECT_FALSE(watch.monitor.report(0).last.has_value());
  ASSERT_TRUE(until([&] { return watch.checks() >= 3; }));
  const HealthReport report = watch.monitor.report(0);
  EXPECT_EQ(report.state, Health::up);
  EXPECT_EQ(report.name, "web/a (" + server.endpoint().to_string() + ")");
  EXPECT_EQ(report.last->reason, "connected");
  EXPECT_EQ(report.failures, 0U);
  EXPECT_GT(report.latency, 0ns);
  EXPECT_LT(report.latency, 1s);
  EXPECT_EQ(report.held_until, std::nullopt);
  EXPECT_THAT(watch.log, IsEmpty());
  EXPECT_THAT(watch.changed, IsEmpty());
  EXPECT_TRUE(until([&] { return server.accepted() >= watch.checks(); }));
}

TEST_F(HealthMonitorTest, WhatIsKnownToBeDownIsUpWithItsFirstPassedCheck) {
  HealthServer server(context_, {});
  const Endpoint closed = closed_endpoint(context_);
  Watch watch(context_, {.down = {server.endpoint(), closed}});
  watch.monitor.set_targets({tcp(server.endpoint()), with_type(HealthType::none, tcp(server.endpoint())), tcp(closed)});
  EXPECT_EQ(watch.monitor.state(0), Health::down);
  EXPECT_EQ(watch.monitor.state(1), Health::up) << "nobody checks whether it still is";
  EXPECT_EQ(watch.monitor.down(), (std::set<Endpoint>{server.endpoint(), closed}));
  ASSERT_TRUE(until([&] { return watch.checks(2) >= 2; }));
  EXPECT_EQ(watch.monitor.down(), std::set<Endpoint>{closed});
  EXPECT_EQ(watch.monitor.report(0).failures, 0U);

  watch.monitor.set_targets({});
  watch.monitor.set_targets({tcp(server.endpoint())});
  EXPECT_EQ(watch.monitor.state(0), Health::up) << "the first targets' only";
}

TEST_F(HealthMonitorTest, DownAfterFallFailuresAndUpAfterRisePasses) {
  auto server = std::make_unique<HealthServer>(context_, HealthServer::Script{});
  const Endpoint backend = server->endpoint();
  Watch watch(context_);
  watch.monitor.set_targets({tcp(backend)});
  ASSERT_TRUE(until([&] { return watch.checks() >= 1; }));
  server.reset();
  ASSERT_TRUE(until([&] { return watch.monitor.state(0) == Health::down; }));
  EXPECT_EQ(watch.monitor.report(0).failures, 3U);
  EXPECT_THAT(watch.log, ElementsAre("warning: backend web/a (" + backend.to_string() +
                                     ") is down: connection refused, after 3 failed checks"));
  EXPECT_THAT(watch.changed, ElementsAre(0U));

  const std::uint64_t before = watch.checks();
  server = std::make_unique<HealthServer>(context_, HealthServer::Script{}, backend.port);
  ASSERT_TRUE(until([&] { return watch.monitor.state(0) == Health::up; }));
  EXPECT_GE(watch.checks() - before, 2U);
  EXPECT_LE(server->accepted(), 2U);
  EXPECT_TRUE(until([&] { return server->accepted() == 2; })) << "the last may still be in line";
  ASSERT_THAT(watch.log, SizeIs(2));
  EXPECT_THAT(watch.log.back(), AllOf(StartsWith("backend web/a ("), HasSubstr(" is up again: connected, after ")));
  EXPECT_THAT(watch.changed, ElementsAre(0U, 0U));
}

TEST_F(HealthMonitorTest, TheFirstCheckDecides) {
  Watch watch(context_);
  watch.monitor.set_targets({tcp(closed_endpoint(context_), 1h)});
  ASSERT_TRUE(until([&] { return watch.checks() == 1; }));
  EXPECT_EQ(watch.monitor.state(0), Health::down);
  EXPECT_THAT(watch.log, ElementsAre(EndsWith("is down: connection refused, after 1 failed check")));
}

TEST_F(HealthMonitorTest, WhatDoesNotAnswerInTimeFails) {
  const FullServer full(context_);
  HealthServer silent(context_, {.answer = {}, .reads = 0, .closes = false});
  Watch watch(context_);
  watch.monitor.set_targets(
      {tcp(full.endpoint()), with_type(HealthType::http, tcp(silent.endpoint())), program({"/bin/sleep", "1000"})});
  ASSERT_TRUE(until([&] { return watch.checks(0) > 0 && watch.checks(1) > 0 && watch.checks(2) > 0; }));
  EXPECT_EQ(watch.monitor.report(0).last->reason, "no connection after 100ms");
  EXPECT_EQ(watch.monitor.report(1).last->reason, "no HTTP answer after 100ms");
  EXPECT_EQ(watch.monitor.report(2).last->reason, "still running after 100ms");
  EXPECT_GE(watch.monitor.report(0).latency, 100ms);
  ASSERT_TRUE(until([&] { return silent.open() <= 1; })) << "given up, and closed";
}

TEST_F(HealthMonitorTest, ChecksComeInIntervals) {
  HealthServer server(context_, {});
  Watch watch(context_);
  const auto begun = std::chrono::steady_clock::now();
  watch.monitor.set_targets({tcp(server.endpoint(), 200ms)});
  ASSERT_TRUE(until([&] { return watch.checks() >= 6; }));
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 5 * 180ms) << "at the earliest after nine tenths";
}

TEST_F(HealthMonitorTest, KnownTargetsKeepTheirStateOverAReload) {
  HealthServer server(context_, {});
  const Named down = tcp(closed_endpoint(context_), 1h);
  const Named up = tcp(server.endpoint(), 1h);
  Watch watch(context_);
  watch.monitor.set_targets({down, up});
  ASSERT_TRUE(until([&] { return watch.checks(0) == 1 && watch.checks(1) == 1; }));
  watch.monitor.set_targets({up, down});
  EXPECT_EQ(watch.monitor.state(0), Health::up);
  EXPECT_EQ(watch.monitor.state(1), Health::down);
  EXPECT_EQ(watch.checks(0), 1U);
  EXPECT_EQ(watch.checks(1), 1U);

  Named renamed = down;
  renamed.name = "shop/b";
  watch.monitor.set_targets({renamed});
  EXPECT_EQ(watch.monitor.size(), 1U);
  EXPECT_EQ(watch.monitor.report(0).name, "shop/b");
  EXPECT_EQ(watch.monitor.state(0), Health::down);

  Named changed = renamed;
  changed.target.check.rise = 1;
  watch.monitor.set_targets({changed});
  EXPECT_EQ(watch.monitor.state(0), Health::down) << "known from the other check";
  EXPECT_EQ(watch.checks(0), 0U);
  ASSERT_TRUE(until([&] { return watch.checks(0) == 1; })) << "and checked at once";
}

TEST_F(HealthMonitorTest, WhatIsGoneIsNotCheckedAnyMore) {
  HealthServer silent(context_, {.answer = {}, .reads = 0, .closes = false});
  Watch watch(context_);
  watch.monitor.set_targets(
      {with_type(HealthType::http, tcp(silent.endpoint(), 1h)), program({"/bin/sleep", "9"}, 1h)});
  ASSERT_TRUE(until([&] { return silent.open() == 1; }));
  watch.monitor.set_targets({});
  ASSERT_TRUE(until([&] { return silent.open() == 0; })) << "the check under way was given up";
  context_.run_for(50ms);
  EXPECT_THAT(watch.changed, IsEmpty());
  EXPECT_EQ(silent.accepted(), 1U);
}

TEST_F(HealthMonitorTest, AMonitorMayGoWithChecksUnderWay) {
  const FullServer full(context_);
  {
    Watch watch(context_);
    std::vector<Named> targets;
    for (int i = 0; i < 20; ++i) {
      targets.push_back(tcp(full.endpoint(), std::chrono::milliseconds(100 + i)));
      targets.push_back(tcp(closed_endpoint(context_)));
    }
    watch.monitor.set_targets(targets);
    context_.run_for(10ms);
    context_.restart();
  }
  context_.run_for(100ms);  // a sanitizer would object
}

TEST_F(HealthMonitorTest, ASuspectIsCheckedAtOnceButNotAllTheTime) {
  auto server = std::make_unique<HealthServer>(context_, HealthServer::Script{});
  Watch watch(context_);
  watch.monitor.set_targets({tcp(server->endpoint(), 1h)});
  ASSERT_TRUE(until([&] { return watch.checks() == 1; }));
  context_.run_for(HealthMonitor::kSuspectPause);
  context_.restart();
  server.reset();

  const auto begun = std::chrono::steady_clock::now();
  ASSERT_TRUE(until([&] {
    watch.monitor.suspect(0, 0);
    return watch.monitor.state(0) == Health::down;
  })) << "checked, though its next turn is in an hour";
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 2 * HealthMonitor::kSuspectPause);
  EXPECT_EQ(watch.checks(), 4U);
  EXPECT_THAT(watch.log, ElementsAre(EndsWith("after 3 failed checks")));
}

TEST_F(HealthMonitorTest, OnlySoManyChecksAtATime) {
  constexpr std::size_t kAtATime = 4;
  // Each connection is held for a while, and the check ends only then.
  HealthServer server(context_, {.answer = "HTTP/1.1 100 Continue\r\n\r\n", .reads = 1, .closes = true, .pause = 20ms});
  Watch watch(context_, {.max_checks = kAtATime});
  std::vector<Named> targets;
  for (int i = 0; i < 40; ++i) {
    targets.push_back(with_type(HealthType::http, tcp(server.endpoint(), 1h)));
    targets.back().target.check.path = "/" + std::to_string(i);
  }
  watch.monitor.set_targets(targets);
  ASSERT_TRUE(until([&] {
    for (std::size_t i = 0; i < targets.size(); ++i) {
      if (watch.checks(i) == 0) return false;
    }
    return true;
  })) << "all have their turn";
  EXPECT_LE(server.accepted(), 40U);
  EXPECT_TRUE(until([&] { return server.accepted() == 40; }));
  EXPECT_LE(server.most_open(), kAtATime + 2) << "the server notices the end of some late";
  EXPECT_GE(server.most_open(), kAtATime);
}

TEST_F(HealthMonitorTest, ProgramsHaveTheirOwnLimit) {
  const test::TemporaryFolder temporary;
  const std::string& folder = temporary.path();
  // Each counts those that run beside it.
  const std::string count = "mkdir " + folder + "/$$; ls " + folder + " | grep -v seen | wc -l >> " + folder +
                            "/seen; sleep 0.05; rmdir " + folder + "/$$";
  HealthServer server(context_, {});
  Watch watch(context_, {.max_checks = 8, .max_programs = 2});
  std::vector<Named> targets{tcp(server.endpoint(), 1h)};
  for (int i = 0; i < 12; ++i) {
    targets.push_back(program({"/bin/sh", "-c", count, std::to_string(i)}, 1h));
    targets.back().target.check.timeout = 1h;  // else a stall ends one, whose folder stays
  }
  watch.monitor.set_targets(targets);
  ASSERT_TRUE(until([&] {
    for (std::size_t i = 0; i < targets.size(); ++i) {
      if (watch.checks(i) == 0) return false;
    }
    return true;
  }));
  EXPECT_EQ(shell("sort -n " + folder + "/seen | tail -1"), "2\n");
}

NAMESPACE_TEST(HealthMonitorNamespace, Fault25_WithoutDescriptorsNothingIsKnown) {
#if defined(__has_feature)
#if __has_feature(undefined_behavior_sanitizer)
  // It looks at objects through a pipe, and calls those bad that it has no descriptors to look at.
  GTEST_SKIP() << "skipped: the sanitizer needs descriptors itself";
#endif
#endif
  boost::asio::io_context context{1};
  HealthServer server(context, {});
  std::optional<Watch> watch(std::in_place, context);
  watch->monitor.set_targets({tcp(server.endpoint())});
  ASSERT_TRUE(run_until(context, [&] { return watch->checks() > 0; }));
  const rlimit none{.rlim_cur = 3, .rlim_max = 1000};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const std::uint64_t before = watch->checks();
  ASSERT_TRUE(run_until(context, [&] { return watch->checks() >= before + 6; }));
  EXPECT_EQ(watch->monitor.state(0), Health::up);
  EXPECT_EQ(watch->monitor.report(0).failures, 0U);
  EXPECT_EQ(watch->monitor.report(0).last->verdict, CheckVerdict::unknown);
  EXPECT_THAT(watch->log,
              ElementsAre(MatchesRegex("warning: the check of backend web/a .* cannot be made: too many open "
                                       "files")))
      << "said once";
}

TEST_F(HealthMonitorTest, Fault8_AFlappingBackendIsToldSeldom) {
  auto server = std::make_unique<HealthServer>(context_, HealthServer::Script{});
  const Endpoint backend = server->endpoint();
  Named flapping = tcp(backend);
  flapping.target.check.rise = flapping.target.check.fall = 1;
  Watch watch(context_);
  watch.monitor.set_targets({flapping});
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(until([&, seen = watch.checks()] { return watch.checks() > seen + 1; }));
    if (server) {
      server.reset();
    } else {
      server = std::make_unique<HealthServer>(context_, HealthServer::Script{}, backend.port);
    }
  }
  EXPECT_NE(watch.monitor.state(0), Health::up);
  EXPECT_TRUE(watch.monitor.report(0).held_until.has_value());
  EXPECT_THAT(watch.log, ElementsAre(HasSubstr("is down"), HasSubstr("is up again"),
                                     HasSubstr("; it flaps, and is not trusted for 5s")));
}

TEST_F(HealthMonitorTest, WithoutACheckIcmpIsBelievedForAWhile) {
  Watch watch(context_);
  Named named = with_type(HealthType::none, tcp({Ipv4Address(0x0A000004), 53}, 2s));
  named.name = "dns/a";
  watch.monitor.set_targets({named});
  watch.monitor.suspect(0, 0);
  watch.monitor.suspect(0, 2);
  EXPECT_EQ(watch.monitor.state(0), Health::up);
  watch.monitor.suspect(0, 1);
  EXPECT_EQ(watch.monitor.state(0), Health::down);
  EXPECT_THAT(watch.log,
              ElementsAre("warning: backend dns/a is down: ICMP says that nobody is there; it is tried again "
                          "in 5s"));
  ASSERT_TRUE(watch.monitor.report(0).held_until.has_value());
  EXPECT_THAT(watch.monitor.down(), IsEmpty()) << "no check that another process could begin with says so";
  watch.monitor.set_targets({named});
  EXPECT_EQ(watch.monitor.state(0), Health::down) << "a reload forgets nothing";
  ASSERT_TRUE(until([&] { return watch.monitor.state(0) == Health::up; }));
  EXPECT_THAT(watch.log.back(), MatchesRegex("backend dns/a is tried again, after ([5-9]|[1-9][0-9])s.*"));
  EXPECT_THAT(watch.changed, ElementsAre(0U, 0U));
  EXPECT_EQ(watch.checks(), 0U) << "nothing is sent";
}

TEST_F(HealthMonitorTest, TwoThousandTargets) {
  constexpr std::uint32_t kTargets = 2000;
  const std::uint16_t closed = closed_endpoint(context_).port;
  Watch watch(context_);
  std::vector<Named> targets;
  for (std::uint32_t i = 0; i < kTargets; ++i) {
    targets.push_back(tcp({Ipv4Address(0x7F010001 + i), closed}, 1h));
    if (i % 2 == 0) targets.back() = with_type(HealthType::ping, targets.back());
  }
  watch.monitor.set_targets(targets);
  const auto begun = std::chrono::steady_clock::now();
  ASSERT_TRUE(until([&] {
    for (std::size_t i = 0; i < kTargets; ++i) {
      if (watch.checks(i) == 0) return false;
    }
    return true;
  }));
  std::printf("2,000 first checks took %.2f s\n",
              std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
  for (std::uint32_t i = 0; i < kTargets; ++i) {
    EXPECT_EQ(watch.monitor.state(i), i % 2 == 0 ? Health::up : Health::down) << watch.monitor.report(i).last->reason;
  }
  EXPECT_THAT(watch.changed, SizeIs(kTargets / 2));
  EXPECT_THAT(watch.log, SizeIs(HealthLog::kMaxLines)) << "the others are counted";
}

TEST(HealthLog, CountsWhatItHoldsBack) {
  boost::asio::io_context context{1};
  std::vector<std::string> lines;
  HealthLog log(context, [&](LogLevel level, const std::string& line) {
    lines.push_back((level == LogLevel::warning ? "warning: " : "") + line);
  });
  for (int i = 0; i < HealthLog::kMaxLines; ++i) log.add(HealthEvent::up, "up");
  EXPECT_THAT(lines, SizeIs(HealthLog::kMaxLines));
  EXPECT_EQ(lines.front(), "up");
  log.add(HealthEvent::down, "down");
  log.add(HealthEvent::down, "down");
  log.add(HealthEvent::up, "up");
  EXPECT_THAT(lines, SizeIs(HealthLog::kMaxLines));
  log.flush();
  EXPECT_EQ(lines.back(), "warning: further backends, all within 10 s: 2 times down, 1 times up");
  log.flush();
  EXPECT_THAT(lines, SizeIs(HealthLog::kMaxLines + 1)) << "nothing new, nothing said";
  log.add(HealthEvent::down, "down");
  EXPECT_EQ(lines.back(), "warning: down");
}

}  // namespace
}  // namespace vipgate
