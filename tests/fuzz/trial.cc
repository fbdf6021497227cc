#include "fuzz/trial.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "fuzz/require.h"
#include "fuzz/rules.h"
#include "support/packet_builder.h"
#include "vipgate/inspect.h"

namespace vipgate::fuzz {
namespace {

constexpr std::uint32_t kWorkers = 4;

/// Steps in which time goes by, so that timers that are set anew on the way have their turns.
constexpr int kSteps = 4;

bool same(const Verdict& a, const Verdict& b) {
  return a.action == b.action && a.reason == b.reason && a.shard == b.shard && a.service == b.service &&
         a.backend == b.backend;
}

std::string text_of(const Verdict& verdict) {
  return std::string(name_of(verdict.action)) + " " + std::string(name_of(verdict.reason)) + " shard " +
         std::to_string(verdict.shard);
}

std::string text_of(const Datagram& packet, const Verdict& a, const Verdict& b) {
  return packet.text() + "\n" + text_of(a) + " against " + text_of(b);
}

std::string text_of(const std::vector<Datagram>& packets) {
  std::string text;
  for (const Datagram& packet : packets) text += "  " + packet.text() + "\n";
  return text;
}

void require_same(std::vector<Datagram> a, std::vector<Datagram> b, std::string_view what) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  require(a == b, what, [&] { return text_of(a) + "against\n" + text_of(b); });
}

/// With FUZZ_TRACE set, every packet is told as it goes in and comes out.
void trace(const Datagram& packet, const Fate& fate) {
  static const bool wanted = std::getenv("FUZZ_TRACE") != nullptr;
  if (!wanted) return;
  std::fprintf(stderr, "%s\n  %s\n%s", packet.text().c_str(), text_of(fate.verdict).c_str(), text_of(fate.out).c_str());
}

Datagram datagram_of(const test::PacketBuilder& builder) {
  const test::WirePacket wire = builder.build();
  return {{wire.bytes().begin(), wire.bytes().end()}, wire.virtio()};
}

}  // namespace

Trial::Trial(const Rules& rules, std::size_t batch)
    : rules_(&rules), one_(rules, 1), batched_(rules, 1), four_(rules, kWorkers), batch_(batch) {
  watch_.configure(rules);
  run_all();
}

Fate Trial::send(const Datagram& packet, std::uint32_t worker) {
  watch_.went_in(packet);
  Fate fate = one_.process(packet, now_);
  trace(packet, fate);
  watch_.was_decided(packet, fate.verdict);
  for (const Datagram& out : fate.out) watch_.came_out(out, fate.verdict.action);
  pending_.push_back({packet, worker % kWorkers, fate});
  if (pending_.size() >= batch_) flush();
  return fate;
}

/// Lets the other gateways catch up with the first.
void Trial::flush() {
  if (pending_.empty()) return;
  std::vector<Datagram> in;
  std::vector<Datagram> out;
  for (const Pending& pending : pending_) {
    const Fate fate = four_.process(pending.packet, now_, pending.worker);
    require(same(fate.verdict, pending.fate.verdict), "four workers decide as one does",
            [&] { return text_of(pending.packet, pending.fate.verdict, fate.verdict); });
    require_same(pending.fate.out, fate.out, "four workers send what one does");
    in.push_back(pending.packet);
    out.insert(out.end(), pending.fate.out.begin(), pending.fate.out.end());
  }
  std::vector<Datagram> batch_out;
  const auto verdicts = batched_.process_batch(in, now_, batch_out);
  for (std::size_t i = 0; i < verdicts.size(); ++i) {
    require(same(verdicts[i], pending_[i].fate.verdict), "a batch is decided as its packets one by one are",
            [&] { return text_of(in[i], pending_[i].fate.verdict, verdicts[i]); });
  }
  require_same(std::move(out), std::move(batch_out), "a batch sends what its packets one by one do");
  pending_.clear();
  compare_counters();
}

void Trial::compare_counters() const {
  const auto without_hand_offs = [](Counters counters) {
    counters.actions[static_cast<std::size_t>(Action::hand_off)] = 0;
    return counters;
  };
  require(one_.counters() == batched_.counters(), "a batch is counted as its packets one by one are");
  require(one_.counters() == without_hand_offs(four_.counters()), "four workers count what one does");
  require(one_.flows() == batched_.flows() && one_.flows() == four_.flows(), "all have the same flows");
}

void Trial::run_all() {
  std::vector<Datagram> first;
  std::vector<Datagram> second;
  std::vector<Datagram> third;
  one_.run(now_, first);
  batched_.run(now_, second);
  four_.run(now_, third);
  for (const Datagram& packet : first) watch_.came_out(packet, Action::reply);
  require_same(first, second, "two gateways of one kind end flows alike");
  require_same(first, third, "four workers end flows as one does");
  compare_counters();
}

void Trial::pass_time(Duration duration, bool with_timers) {
  flush();
  const Duration step = duration / kSteps;
  for (int i = 0; i < kSteps; ++i) {
    now_ += step;
    if (with_timers) run_all();
  }
}

void Trial::reload(const Rules& rules) {
  flush();
  rules_ = &rules;
  watch_.configure(rules);
  one_.reload(rules);
  batched_.reload(rules);
  four_.reload(rules);
}

/// Somebody asks, and gets an answer from whom was asked.
void Trial::ask(std::string_view who, std::string_view whom, Protocol protocol) {
  const Endpoint client = test::endpoint(who);
  const Endpoint asked = test::endpoint(whom);
  const bool is_tcp = protocol == Protocol::tcp;
  const test::PacketBuilder question(protocol, client, asked);
  const Fate sent = send(datagram_of(is_tcp ? question.syn().seq(1) : question), 1);
  require(sent.verdict.action == Action::forward, "new flows go through", text_of(sent.verdict));
  const auto seen = *endpoints_of(sent.out.at(0).bytes);
  const test::PacketBuilder answer(protocol, seen.destination, seen.source);
  const Fate answered = send(datagram_of(is_tcp ? answer.syn().seq(9).ack(2) : answer), 2);
  require(answered.verdict.action == Action::forward, "and are answered", text_of(answered.verdict));
  const auto shown = *endpoints_of(answered.out.at(0).bytes);
  require(shown.source == asked && shown.destination == client, "by whom was asked", answered.out[0]);
}

void Trial::end() {
  if (rules_ != &rulesets().front()) reload(rulesets().front());
  pass_time(kLongestSilence + std::chrono::seconds(10), true);
  require(one_.flows() == 0, "silence ends every flow");
  ask("192.0.2.200:50000", "203.0.113.10:80", Protocol::tcp);
  ask("192.0.2.200:50000", "203.0.113.10:443", Protocol::tcp);
  ask("192.0.2.200:50000", "203.0.113.10:53", Protocol::udp);
  ask("192.0.2.200:50000", "203.0.113.11:443", Protocol::udp);
  ask("10.0.0.20:50000", "192.0.2.200:443", Protocol::tcp);
  flush();
}

}  // namespace vipgate::fuzz
