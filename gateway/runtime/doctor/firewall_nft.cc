#include <set>
#include <tuple>
#include <utility>

#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "runtime/doctor/firewall.h"
#include "vipgate/address.h"

// libnftables-json(5).
namespace vipgate::doctor {
namespace {

using Json = nlohmann::json;
/// Elements of named sets, by "family table name".
using Sets = std::map<std::string, Json>;

/// Of an object with one key: that, and its value.
struct Entry {
  const std::string& kind;
  const Json& inner;
};
Entry only_entry(const Json& object) {
  const auto entry = object.begin();
  return {entry.key(), entry.value()};
}

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// "ip", "tcp" and the like as well as numbers and addresses.
std::optional<std::uint32_t> number_of(const Json& value) {
  if (value.is_number_unsigned()) return value.get<std::uint32_t>();
  if (!value.is_string()) return std::nullopt;
  const std::string text = value.get<std::string>();
  if (const auto address = Ipv4Address::parse(text)) return address->value();
  static const std::map<std::string, std::uint32_t> kProtocols{{"icmp", 1}, {"tcp", 6},     {"udp", 17},
                                                               {"gre", 47}, {"icmpv6", 58}, {"sctp", 132}};
  const auto protocol = kProtocols.find(text);
  if (protocol != kProtocols.end()) return protocol->second;
  std::uint32_t number = 0;
  return absl::SimpleAtoi(text, &number) ? std::optional(number) : std::nullopt;
}

/// Adds a value, range, prefix or list to the condition. False: not understood.
bool add_value(const Json& value, bool names, Condition& condition) {
  if (value.is_array()) {
    for (const Json& one : value) {
      if (!add_value(one, names, condition)) return false;
    }
    return true;
  }
  if (value.is_object() && value.size() == 1) {
    const auto [kind, inner] = only_entry(value);
    if (kind == "set") return add_value(inner, names, condition);
    if (kind == "elem") return inner.contains("val") && add_value(inner["val"], names, condition);
    if (kind == "prefix" && !names) {
      const auto address = number_of(inner.value("addr", Json()));
      const int length = inner.value("len", -1);
      if (!address || length < 0 || length > 32) return false;
      const Ipv4Prefix prefix(Ipv4Address(*address), length);
      condition.numbers.push_back({prefix.address().value(), prefix.last().value()});
      return true;
    }
    if (kind == "range" && !names && inner.is_array() && inner.size() == 2) {
      const auto first = number_of(inner[0]);
      const auto last = number_of(inner[1]);
      if (!first || !last) return false;
      condition.numbers.push_back({*first, *last});
      return true;
    }
    return false;
  }
  if (names) {
    if (!value.is_string()) return false;
    condition.words.push_back(value.get<std::string>());
    return true;
  }
  const auto number = number_of(value);
  if (number) condition.numbers.push_back({*number, *number});
  return number.has_value();
}

bool is_of_names(Field field) {
  return field == Field::incoming || field == Field::outgoing || field == Field::state ||
         field == Field::destination_type;
}

/// What the left side of a match looks at; `implied` gets the protocol that it holds for alone.
Field field_of(const Json& left, std::optional<std::uint32_t>& implied) {
  if (!left.is_object() || left.size() != 1) return Field::other;
  const auto [kind, inner] = only_entry(left);
  const std::string key = text_of(inner, "key");
  if (kind == "meta") {
    if (key == "iifname" || key == "iif") return Field::incoming;
    if (key == "oifname" || key == "oif") return Field::outgoing;
    if (key == "l4proto") return Field::protocol;
  }
  if (kind == "ct" && key == "state") return Field::state;
  if (kind == "fib" && text_of(inner, "result") == "type" && inner.value("flags", Json()) == Json::array({"daddr"})) {
    return Field::destination_type;
  }
  if (kind != "payload") return Field::other;
  const std::string protocol = text_of(inner, "protocol");
  const std::string name = text_of(inner, "field");
  if (protocol == "ip") {
    if (name == "saddr") return Field::source;
    if (name == "daddr") return Field::destination;
    return name == "protocol" ? Field::protocol : Field::other;
  }
  const bool ports = name == "sport" || name == "dport";
  if (!ports) return Field::other;
  if (protocol == "tcp") implied = 6;
  if (protocol == "udp") implied = 17;
  if (!implied && protocol != "th") return Field::other;
  return name == "sport" ? Field::source_port : Field::destination_port;
}

/// Holds for IPv4, or not at all.
std::optional<bool> family_matches(const Json& match) {
  const Json left = match.value("left", Json());
  const Json meta = left.is_object() ? left.value("meta", Json()) : Json();
  const std::string key = meta.is_object() ? text_of(meta, "key") : "";
  if (key != "nfproto" && key != "protocol") return std::nullopt;
  const std::string value = text_of(match, "right");
  const bool is_ipv4 = value == (key == "nfproto" ? "ipv4" : "ip");
  if (value.empty()) return std::nullopt;
  return is_ipv4 == (text_of(match, "op") != "!=");
}

/// One rule, while its statements are read.
class RuleReader {
 public:
  RuleReader(const Sets& sets, std::string set_prefix) : sets_(sets), set_prefix_(std::move(set_prefix)) {}

  /// A rule of nft is one here, or several where it chooses its verdict by a map.
  std::vector<Rule> read(const Json& statements) {
    for (const Json& statement : statements) {
      if (!statement.is_object() || statement.size() != 1) continue;
      const auto [kind, inner] = only_entry(statement);
      read_statement(kind, inner);
    }
    if (never_) return {};
    if (choices_.empty()) return {rule_};
    std::vector<Rule> rules;
    for (auto& [condition, action, target] : choices_) {
      Rule rule = rule_;
      rule.conditions.push_back(condition);
      rule.action = action;
      rule.target = target;
      rules.push_back(std::move(rule));
    }
    return rules;
  }

 private:
  struct Choice {
    Condition condition;
    Action action;
    std::string target;
  };

  void read_statement(const std::string& kind, const Json& inner) {
    if (kind == "match") return read_match(inner);
    if (kind == "vmap") return read_choices(inner);
    if (kind == "limit" || kind == "quota" || kind == "ct count") return rule_.conditions.push_back({});
    if (kind == "xt") return read_extension(inner);
    if (kind == "snat" || kind == "dnat" || kind == "redirect" || kind == "masquerade") rule_.tracks = true;
    if (kind.rfind("ct ", 0) == 0) rule_.tracks = true;
    if (const auto verdict = verdict_of(kind, inner)) std::tie(rule_.action, rule_.target) = *verdict;
  }

  static std::optional<std::pair<Action, std::string>> verdict_of(const std::string& kind, const Json& inner) {
    static const std::map<std::string, Action> kActions{
        {"accept", Action::accept},    {"drop", Action::drop},      {"reject", Action::drop},
        {"jump", Action::jump},        {"goto", Action::go_to},     {"return", Action::back},
        {"notrack", Action::untrack},  {"dnat", Action::translate}, {"redirect", Action::translate},
        {"tproxy", Action::translate}, {"snat", Action::disguise},  {"masquerade", Action::disguise},
        {"queue", Action::other},      {"synproxy", Action::other}, {"fwd", Action::other}};
    const auto found = kActions.find(kind);
    if (found == kActions.end()) return std::nullopt;
    return std::pair(found->second, inner.is_object() ? text_of(inner, "target") : std::string());
  }

  void read_match(const Json& match) {
    if (const auto holds = family_matches(match)) {
      never_ = never_ || !*holds;
      return;
    }
    std::optional<std::uint32_t> implied;
    const Json left = match.value("left", Json());
    if (left.is_object() && left.contains("ct")) rule_.tracks = true;
    Condition condition{.field = field_of(left, implied), .negated = text_of(match, "op") == "!="};
    const std::string op = text_of(match, "op");
    const bool compares = op == "==" || op == "!=" || op == "in";
    if (!compares || !fill(match.value("right", Json()), condition)) condition = {};
    if (implied) rule_.conditions.push_back({.field = Field::protocol, .numbers = {{*implied, *implied}}});
    rule_.conditions.push_back(std::move(condition));
  }

  bool fill(const Json& right, Condition& condition) const {
    if (condition.field == Field::other) return false;
    const bool names = is_of_names(condition.field);
    if (!right.is_string() || right.get<std::string>().rfind('@', 0) != 0) return add_value(right, names, condition);
    const auto set = sets_.find(set_prefix_ + right.get<std::string>().substr(1));
    return set != sets_.end() && add_value(set->second, names, condition);
  }

  void read_choices(const Json& map) {
    std::optional<std::uint32_t> implied;
    const Json key = map.value("key", Json());
    const Field field = field_of(key, implied);
    if (key.is_object() && key.contains("ct")) rule_.tracks = true;
    if (implied) rule_.conditions.push_back({.field = Field::protocol, .numbers = {{*implied, *implied}}});
    Json data = map.value("data", Json());
    if (data.is_string() && data.get<std::string>().rfind('@', 0) == 0) {
      const auto found = sets_.find(set_prefix_ + data.get<std::string>().substr(1));
      data = found == sets_.end() ? Json() : found->second;
    }
    if (data.is_object() && data.contains("set")) data = Json(data["set"]);
    if (!data.is_array()) {
      rule_.action = Action::other;
      return;
    }
    for (const Json& entry : data) {
      if (!entry.is_array() || entry.size() != 2 || !entry[1].is_object() || entry[1].size() != 1) continue;
      const auto [kind, inner] = only_entry(entry[1]);
      const auto verdict = verdict_of(kind, inner);
      Condition condition{.field = field};
      if (field == Field::other || !add_value(entry[0], is_of_names(field), condition)) condition = {};
      if (verdict) choices_.push_back({std::move(condition), verdict->first, verdict->second});
    }
  }

  /// Of iptables, where its own program is not there to be asked.
  void read_extension(const Json& extension) {
    const std::string name = extension.is_object() ? text_of(extension, "name") : "";
    const bool is_target = extension.is_object() && text_of(extension, "type") == "target";
    static const std::set<std::string> kTracking{"conntrack", "state", "DNAT", "REDIRECT", "SNAT", "MASQUERADE"};
    if (kTracking.contains(name)) rule_.tracks = true;
    if (!is_target) {
      if (name != "comment") rule_.conditions.push_back({});
    } else if (name == "REJECT") {
      rule_.action = Action::drop;
    } else if (name == "DNAT" || name == "REDIRECT") {
      rule_.action = Action::translate;
    } else if (name == "SNAT" || name == "MASQUERADE") {
      rule_.action = Action::disguise;
    } else if (name != "LOG" && name != "NFLOG" && name != "MARK" && name != "TCPMSS") {
      rule_.action = Action::other;
    }
  }

  const Sets& sets_;
  std::string set_prefix_;
  Rule rule_;
  std::vector<Choice> choices_;
  bool never_ = false;
};

}  // namespace

std::optional<std::vector<Table>> parse_nft(std::string_view json) {
  const Json document = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object() || !document.contains("nftables")) return std::nullopt;
  std::vector<Table> tables;
  Sets sets;
  const auto table_of = [&](const Json& object) -> Table* {
    for (Table& table : tables) {
      if (table.family == text_of(object, "family") && table.name == text_of(object, "table")) return &table;
    }
    return nullptr;
  };
  const auto key_of = [](const Json& object) {
    return absl::StrCat(text_of(object, "family"), " ", text_of(object, "table"), " ");
  };
  const Json& list = document["nftables"];
  for (const Json& entry : list) {
    if (!entry.is_object() || entry.size() != 1) continue;
    const auto [kind, object] = only_entry(entry);
    if (!object.is_object()) continue;
    const std::string family = text_of(object, "family");
    if (kind == "table" && (family == "ip" || family == "inet")) {
      tables.push_back({.tool = "nft", .family = family, .name = text_of(object, "name")});
    } else if (kind == "set" || kind == "map") {
      sets[key_of(object) + text_of(object, "name")] = object.value("elem", Json::array());
    } else if (Table* table = table_of(object); kind == "chain" && table != nullptr) {
      const int priority =
          object.contains("prio") && object["prio"].is_number_integer() ? object["prio"].get<int>() : 0;
      const std::string name = text_of(object, "name");
      table->chains[name] = {.name = name,
                             .hook = text_of(object, "hook"),
                             .type = text_of(object, "type"),
                             .priority = priority,
                             .drops = text_of(object, "policy") == "drop"};
    }
  }
  for (const Json& entry : list) {
    if (!entry.is_object() || !entry.contains("rule")) continue;
    const Json& object = entry["rule"];
    Table* table = table_of(object);
    if (table == nullptr) continue;
    const std::string chain = text_of(object, "chain");
    const std::uint64_t handle = object.value("handle", std::uint64_t{0});
    for (Rule& rule : RuleReader(sets, key_of(object)).read(object.value("expr", Json::array()))) {
      rule.name = absl::StrCat("rule with handle ", handle);
      rule.removal = absl::StrCat("nft delete rule ", table->family, " ", table->name, " ", chain, " handle ", handle);
      table->chains[chain].rules.push_back(std::move(rule));
    }
  }
  return tables;
}

std::string Table::place(const Chain& chain) const {
  return absl::StrCat(tool, " table ", tool == "nft" ? family + " " : "", name, ", chain ", chain.name);
}

bool Firewall::tracks() const {
  for (const Table& table : tables) {
    for (const auto& [name, chain] : table.chains) {
      for (const Rule& rule : chain.rules) {
        if (rule.tracks) return true;
      }
    }
  }
  return false;
}

}  // namespace vipgate::doctor
