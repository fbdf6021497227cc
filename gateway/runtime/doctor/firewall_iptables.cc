#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "runtime/doctor/firewall.h"
#include "vipgate/address.h"

// iptables-save(8): "-A CHAIN", matches and a target, a rule a line.
namespace vipgate::doctor {
namespace {

/// Words, of which some are in double quotes.
std::vector<std::string> split_words(absl::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false;
  bool any = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '\\' && quoted && i + 1 < line.size()) {
      word += line[++i];
    } else if (c == '"') {
      quoted = !quoted;
      any = true;
    } else if (c == ' ' && !quoted) {
      if (any) words.push_back(std::exchange(word, {}));
      any = false;
    } else {
      word += c;
      any = true;
    }
  }
  if (any) words.push_back(word);
  return words;
}

/// Priorities of the built-in chains (netfilter_ipv4.h).
Chain built_in(const std::string& table, const std::string& name) {
  static const std::map<std::string, std::string> kHooks{{"PREROUTING", "prerouting"},
                                                         {"INPUT", "input"},
                                                         {"FORWARD", "forward"},
                                                         {"OUTPUT", "output"},
                                                         {"POSTROUTING", "postrouting"}};
  static const std::map<std::string, int> kPriorities{{"raw", -300}, {"mangle", -150}, {"filter", 0}, {"security", 50}};
  Chain chain{.name = name};
  const auto hook = kHooks.find(name);
  if (hook == kHooks.end()) return chain;
  chain.hook = hook->second;
  chain.type = table == "nat" ? "nat" : "filter";
  const auto priority = kPriorities.find(table);
  chain.priority = priority != kPriorities.end()              ? priority->second
                   : name == "PREROUTING" || name == "OUTPUT" ? -100
                                                              : 100;
  return chain;
}

bool add_addresses(const std::string& text, Condition& condition) {
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const auto prefix = Ipv4Prefix::parse(std::string(part));
    if (!prefix) return false;
    condition.numbers.push_back({prefix->address().value(), prefix->last().value()});
  }
  return true;
}

bool add_ports(const std::string& text, Condition& condition) {
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::vector<std::string> ends = absl::StrSplit(part, ':');
    std::uint32_t first = 0;
    std::uint32_t last = 65535;
    if (ends.size() > 2 || (!ends[0].empty() && !absl::SimpleAtoi(ends[0], &first))) return false;
    if (ends.size() == 1) last = first;
    if (ends.size() == 2 && !ends[1].empty() && !absl::SimpleAtoi(ends[1], &last)) return false;
    condition.numbers.push_back({first, last});
  }
  return true;
}

bool add_protocol(const std::string& text, Condition& condition) {
  static const std::map<std::string, std::uint32_t> kNumbers{{"tcp", 6}, {"udp", 17}, {"icmp", 1}};
  const auto known = kNumbers.find(text);
  std::uint32_t number = 0;
  if (known == kNumbers.end() && !absl::SimpleAtoi(text, &number)) return false;
  if (known != kNumbers.end()) number = known->second;
  condition.numbers.push_back({number, number});
  return true;
}

void add_device(std::string name, Condition& condition) {
  if (!name.empty() && name.back() == '+') name.back() = '*';
  condition.words.push_back(std::move(name));
}

/// The condition that an option stands for.
Condition condition_of(const std::string& option, const std::string& value, bool negated) {
  Condition condition{.negated = negated};
  bool understood = true;
  if (option == "-s" || option == "-d") {
    condition.field = option == "-s" ? Field::source : Field::destination;
    understood = add_addresses(value, condition);
  } else if (option == "-i" || option == "-o") {
    condition.field = option == "-i" ? Field::incoming : Field::outgoing;
    add_device(value, condition);
  } else if (option == "-p") {
    condition.field = Field::protocol;
    understood = add_protocol(value, condition);
  } else if (option == "--dport" || option == "--dports" || option == "--sport" || option == "--sports") {
    condition.field = option[2] == 'd' ? Field::destination_port : Field::source_port;
    understood = add_ports(value, condition);
  } else if (option == "--ctstate" || option == "--state") {
    condition.field = Field::state;
    condition.words = absl::StrSplit(absl::AsciiStrToLower(value), ',');
  } else if (option == "--dst-type") {
    condition.field = Field::destination_type;
    condition.words = absl::StrSplit(absl::AsciiStrToLower(value), ',');
  } else {
    understood = false;
  }
  return understood ? condition : Condition();
}

void set_target(const std::string& target, const std::string& arguments, const Table& table, Rule& rule) {
  static const std::map<std::string, Action> kTargets{
      {"ACCEPT", Action::accept},       {"DROP", Action::drop},       {"REJECT", Action::drop},
      {"RETURN", Action::back},         {"DNAT", Action::translate},  {"REDIRECT", Action::translate},
      {"TPROXY", Action::translate},    {"NOTRACK", Action::untrack}, {"SNAT", Action::disguise},
      {"MASQUERADE", Action::disguise}, {"NETMAP", Action::other},    {"QUEUE", Action::other},
      {"NFQUEUE", Action::other}};
  rule.tracks = rule.tracks || target == "DNAT" || target == "REDIRECT" || target == "SNAT" || target == "MASQUERADE";
  if (table.chains.contains(target)) {
    rule.action = Action::jump;
    rule.target = target;
  } else if (target == "CT") {
    rule.action = arguments.find("--notrack") != std::string::npos ? Action::untrack : Action::none;
    rule.tracks = rule.action == Action::none;
  } else if (const auto known = kTargets.find(target); known != kTargets.end()) {
    rule.action = known->second;
  }  // else a log, a mark or the like
}

Rule read_rule(const std::vector<std::string>& words, const Table& table) {
  static const std::set<std::string> kPlainModules{"tcp",       "udp",     "conntrack", "state",
                                                   "multiport", "comment", "addrtype"};
  Rule rule;
  for (std::size_t i = 2; i < words.size();) {
    const bool negated = words[i] == "!";
    if (negated && ++i == words.size()) break;
    const std::string option = words[i++];
    if (option == "-j" || option == "-g") {
      const std::string target = i < words.size() ? words[i++] : "";
      set_target(target, absl::StrJoin(words.begin() + static_cast<std::ptrdiff_t>(i), words.end(), " "), table, rule);
      if (option == "-g") rule.action = Action::go_to;
      break;  // what follows is the target's
    }
    std::string value;
    while (i < words.size() && words[i] != "!" && (words[i].empty() || words[i][0] != '-' || option == "--comment")) {
      absl::StrAppend(&value, value.empty() ? "" : " ", words[i++]);
      if (option == "--comment") break;
    }
    if (option == "--comment") continue;
    if (option == "-m") {
      rule.tracks =
          rule.tracks || value == "conntrack" || value == "state" || value == "connmark" || value == "connlimit";
      if (!kPlainModules.contains(value)) rule.conditions.push_back({});
      continue;
    }
    rule.conditions.push_back(condition_of(option, value, negated));
  }
  return rule;
}

/// A chain must be known before a rule that jumps there: iptables-save lists chains first.
void read_line(const std::string& line, const std::string& tool, std::vector<Table>& tables) {
  if (line.empty() || line[0] == '#') return;
  if (line[0] == '*') {
    tables.push_back({.tool = tool, .family = "ip", .name = line.substr(1)});
    return;
  }
  if (tables.empty()) return;
  Table& table = tables.back();
  const std::vector<std::string> words = split_words(line);
  if (line[0] == ':' && words.size() >= 2) {
    const std::string name = words[0].substr(1);
    Chain& chain = table.chains[name] = built_in(table.name, name);
    chain.drops = words[1] == "DROP";
  } else if (words.size() > 2 && words[0] == "-A") {
    Rule rule = read_rule(words, table);
    rule.name = absl::StrCat("rule '", line, "'");
    rule.removal = absl::StrCat(tool, " -t ", table.name, " -D ", line.substr(3));
    table.chains[words[1]].rules.push_back(std::move(rule));
  }
}

}  // namespace

std::vector<Table> parse_iptables(std::string_view text, const std::string& tool) {
  std::vector<Table> tables;
  for (const absl::string_view line : absl::StrSplit(absl::string_view(text.data(), text.size()), '\n')) {
    read_line(std::string(line), tool, tables);
  }
  return tables;
}

}  // namespace vipgate::doctor
