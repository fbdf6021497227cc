#include "runtime/doctor/firewall_walk.h"

#include <algorithm>

namespace vipgate::doctor {
namespace {

constexpr int kMaxDepth = 16;  // of jumps: NFT_JUMP_STACK_SIZE

Match invert(Match match) {
  return match == Match::yes ? Match::no : match == Match::no ? Match::yes : Match::maybe;
}

Match match_numbers(const std::vector<Interval>& wanted, const Interval& value) {
  Match match = Match::no;
  for (const Interval& one : wanted) {
    if (one.first <= value.first && value.last <= one.last) return Match::yes;
    if (one.first <= value.last && value.first <= one.last) match = Match::maybe;
  }
  return match;
}

Match match_device(const std::vector<std::string>& wanted, const std::string& device) {
  const bool found = std::any_of(wanted.begin(), wanted.end(), [&](const std::string& one) {
    if (one.empty() || one.back() != '*') return one == device;
    return !device.empty() && device.compare(0, one.size() - 1, one, 0, one.size() - 1) == 0;
  });
  return found ? Match::yes : Match::no;
}

bool has(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

Match match_plain(const Condition& condition, const Sample& sample) {
  switch (condition.field) {
    case Field::other:
      return Match::maybe;
    case Field::incoming:
      return match_device(condition.words, sample.incoming);
    case Field::outgoing:
      return match_device(condition.words, sample.outgoing);
    case Field::source:
      return match_numbers(condition.numbers, sample.source);
    case Field::destination:
      return match_numbers(condition.numbers, sample.destination);
    case Field::protocol:
      return match_numbers(condition.numbers, sample.protocol);
    case Field::source_port:
      return match_numbers(condition.numbers, sample.source_port);
    case Field::destination_port:
      return match_numbers(condition.numbers, sample.destination_port);
    case Field::state:
      return has(condition.words, sample.state) ? Match::yes : Match::no;
    case Field::destination_type:
      if (!sample.to_this_host || condition.words != std::vector<std::string>{"local"}) return Match::maybe;
      return *sample.to_this_host ? Match::yes : Match::no;
  }
  return Match::maybe;
}

Match match_all(const std::vector<Condition>& conditions, const Sample& sample) {
  Match all = Match::yes;
  for (const Condition& condition : conditions) all = std::min(all, match(condition, sample));
  return all;
}

/// Walks chains. `sure`: all packets come to this rule; `meant`: the jumps that led here are for all packets,
/// though some may have been accepted on the way.
class Walk {
 public:
  Walk(const Table& table, const Sample& sample, Fate& fate) : table_(table), sample_(sample), fate_(fate) {}

  /// True: some packets come to the end of the chain, or return.
  bool follow(const Chain& chain, bool sure, bool meant, int depth) {
    bool returns = false;
    for (const Rule& rule : chain.rules) {
      const Match matches = match_all(rule.conditions, sample_);
      if (matches == Match::no) continue;
      const bool all = matches == Match::yes;
      switch (rule.action) {
        case Action::none:
          break;
        case Action::other:
          fate_.passes = true;
          break;
        case Action::untrack:
          fate_.untracked = fate_.untracked || (all && sure);
          break;
        case Action::translate:
          (all && sure ? fate_.translated_by : fate_.partly_translated_by).push_back(&rule);
          fate_.passes = true;
          if (all) return returns;
          break;
        case Action::disguise:
          if (all && sure) fate_.disguised_by.push_back(&rule);
          fate_.passes = true;
          if (all) return returns;
          break;
        case Action::accept:
          fate_.passes = true;
          if (all) return returns;
          break;
        case Action::drop:
          if (all && meant) {  // else it is for some: invalid ones, or those of a list
            fate_.drops = true;
            fate_.dropped_by = &rule;
          }
          if (all) return returns;
          break;
        case Action::back:
          returns = true;
          if (all) return true;
          break;
        case Action::jump:
        case Action::go_to: {
          const auto target = table_.chains.find(rule.target);
          const bool back = target == table_.chains.end() || depth == 0 ||
                            follow(target->second, sure && all, meant && all, depth - 1);
          if (rule.action == Action::go_to) returns = returns || back;
          if (all && (!back || rule.action == Action::go_to)) return returns;
          break;
        }
      }
      sure = sure && !fate_.passes;
    }
    return true;
  }

 private:
  const Table& table_;
  const Sample& sample_;
  Fate& fate_;
};

}  // namespace

Match match(const Condition& condition, const Sample& sample) {
  const Match plain = match_plain(condition, sample);
  return condition.negated ? invert(plain) : plain;
}

Fate walk(const Table& table, const Chain& base, const Sample& sample) {
  Fate fate;
  if (Walk(table, sample, fate).follow(base, true, true, kMaxDepth)) {
    if (base.drops) {
      fate.drops = true;
      fate.dropped_by = nullptr;
    } else {
      fate.passes = true;
    }
  }
  return fate;
}

}  // namespace vipgate::doctor
