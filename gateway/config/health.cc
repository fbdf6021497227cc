#include "config/health.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <utility>

#include "config/reader.h"

namespace vipgate::config {
namespace {

constexpr IntegerRange kCountRange{1, 100};
constexpr std::size_t kMaxHttpText = 1024;
constexpr std::size_t kMaxArguments = 64;
constexpr std::size_t kMaxArgument = 4096;
constexpr Duration kShortestInterval = std::chrono::milliseconds(100);
constexpr Duration kLongestInterval = std::chrono::hours(1);
/// Final answers (RFC 9110 §15): those below 200 only announce one.
constexpr std::int64_t kFirstStatus = 200;
constexpr std::int64_t kLastStatus = 599;

constexpr std::array kHealthKeys{
    Key{"type"}, Key{"interval"}, Key{"timeout"}, Key{"rise"},   Key{"fall"},
    Key{"port"}, Key{"path"},     Key{"host"},    Key{"status"}, Key{"command"},
};

constexpr unsigned bit(HealthType type) {
  return 1U << static_cast<unsigned>(type);
}
constexpr unsigned kOverTcp = bit(HealthType::tcp) | bit(HealthType::http);
constexpr unsigned kActive = kOverTcp | bit(HealthType::ping) | bit(HealthType::exec);

/// Keys that only some types have.
struct TypedKey {
  std::string_view name;
  unsigned types;  ///< a bit each
  std::string_view remedy;
};
constexpr std::array kTypedKeys{
    TypedKey{"timeout", kActive, ""},
    TypedKey{"rise", kActive, ""},
    TypedKey{"port", kOverTcp | bit(HealthType::exec), ""},
    TypedKey{"path", bit(HealthType::http), "\"http\""},
    TypedKey{"host", bit(HealthType::http), "\"http\""},
    TypedKey{"status", bit(HealthType::http), "\"http\""},
    TypedKey{"command", bit(HealthType::exec), "\"exec\""},
};

std::string_view name_of(HealthType type) {
  switch (type) {
    case HealthType::none:
      return "none";
    case HealthType::tcp:
      return "tcp";
    case HealthType::http:
      return "http";
    case HealthType::ping:
      return "ping";
    case HealthType::exec:
      break;
  }
  return "exec";
}

std::optional<HealthType> read_type(std::string_view key, const JsonValue& value, Errors& errors) {
  return read_choice<HealthType>(key, value,
                                 {{"tcp", HealthType::tcp},
                                  {"http", HealthType::http},
                                  {"ping", HealthType::ping},
                                  {"exec", HealthType::exec},
                                  {"none", HealthType::none}},
                                 errors);
}

std::optional<Duration> read_interval(std::string_view key, const JsonValue& value, Errors& errors) {
  const auto interval = read_duration(key, value, errors);
  if (!interval || (kShortestInterval <= *interval && *interval <= kLongestInterval)) return interval;
  add_mismatch(key, value, "from \"100ms\" to \"1h\"", errors);
  return std::nullopt;
}

/// What an HTTP request line or header can carry without being taken for something else: visible ASCII.
std::optional<std::string> read_visible(std::string_view key, const JsonValue& value, Errors& errors) {
  auto text = read_text(key, value, kMaxHttpText, errors);
  const auto is_visible = [](char c) { return c > ' ' && c < '\x7F'; };
  if (!text || std::all_of(text->begin(), text->end(), is_visible)) return text;
  add_mismatch(key, value, "ASCII without blanks; write other bytes as %20 and the like", errors);
  return std::nullopt;
}

/// The origin-form of RFC 9112 §3.2.1; a fragment ("#") is not sent.
std::optional<std::string> read_path(std::string_view key, const JsonValue& value, Errors& errors) {
  auto path = read_visible(key, value, errors);
  if (!path || (path->starts_with('/') && path->find('#') == std::string::npos)) return path;
  add_mismatch(key, value, "a path without \"#\", such as \"/health\"", errors);
  return std::nullopt;
}

std::optional<HttpStatusRange> read_status(std::string_view key, const JsonValue& value, Errors& errors) {
  const auto parse = [](std::string_view text) -> std::optional<std::uint16_t> {
    std::int64_t status = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), status);
    if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
    if (status < kFirstStatus || status > kLastStatus) return std::nullopt;
    return static_cast<std::uint16_t>(status);
  };
  if (value.kind == JsonKind::integer || value.kind == JsonKind::string) {
    const std::string_view text = value.text;
    const std::size_t dash = text.find('-');
    const auto first = parse(text.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse(text.substr(dash + 1));
    if (first && last && *first <= *last) return HttpStatusRange{*first, *last};
  }
  add_mismatch(key, value, "a status (200) or a range of them (\"200-399\"), from 200 to 599", errors);
  return std::nullopt;
}

std::optional<std::vector<std::string>> read_command(std::string_view key, const JsonValue& value, Errors& errors) {
  constexpr std::string_view kForm =
      R"(a list of a program's absolute path and its arguments, such as ["/usr/bin/true"])";
  if (value.kind != JsonKind::array || value.items.empty() || value.items.size() > kMaxArguments) {
    add_mismatch(key, value, kForm, errors);
    return std::nullopt;
  }
  std::vector<std::string> command;
  for (const JsonValue& item : value.items) {
    auto argument = read_text(key, item, kMaxArgument, errors);
    if (!argument) return std::nullopt;
    if (command.empty() && !argument->starts_with('/')) {
      add_mismatch(key, item, "an absolute path: checks search no folders", errors);
      return std::nullopt;
    }
    command.push_back(*std::move(argument));
  }
  return command;
}

/// Keys that do nothing for the type that stands beside them.
void check_typed_keys(const ObjectReader& reader, HealthType type) {
  for (const TypedKey& key : kTypedKeys) {
    const JsonValue* value = reader.find(key.name);
    if (value == nullptr || (key.types & bit(type)) != 0) continue;
    std::string what = quoted(key.name) + ": does nothing for \"type\": " + quoted(name_of(type)) + "; leave it out";
    if (!key.remedy.empty()) what += ", or write \"type\": " + std::string(key.remedy);
    reader.errors().add(value->offset, std::move(what));
  }
}

/// Keys that need a type beside them.
void check_untyped_keys(const ObjectReader& reader) {
  for (const TypedKey& key : kTypedKeys) {
    const JsonValue* value = reader.find(key.name);
    if (value == nullptr || key.remedy.empty()) continue;
    reader.errors().add(value->offset, quoted(key.name) + ": goes with \"type\": " + std::string(key.remedy) +
                                           " alone; write that beside it");
  }
}

void read_times(const ObjectReader& reader, HealthCheck& check) {
  reader.set(check.interval, "interval", read_interval);
  check.timeout = std::min(check.timeout, check.interval);
  reader.set(check.timeout, "timeout", read_duration);
  const JsonValue* timeout = reader.find("timeout");
  if (timeout == nullptr || check.timeout <= check.interval) return;
  const JsonValue* interval = reader.find("interval");
  const std::string longer = interval == nullptr ? "2s, which is the default" : quoted(interval->text);
  reader.errors().add(timeout->offset, "\"timeout\": " + describe(*timeout) + " is longer than the \"interval\" (" +
                                           longer + "); lengthen the interval");
  check.timeout = check.interval;
}

std::optional<std::size_t> first_of(const ObjectReader& reader, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (const JsonValue* value = reader.find(key)) return value->offset;
  }
  return std::nullopt;
}

/// The port that a check of `service` goes to is known.
bool has_port(const HealthCheck& check, const DraftService& service) {
  const auto& backends = service.backends;
  return check.port || !service.ports.wildcard ||
         std::all_of(backends.begin(), backends.end(), [](const DraftBackend& one) { return one.backend.port; });
}

/// What does not fit, and the remedy; empty: it fits. `check` is complete.
std::string misfit(const DraftHealth& draft, const HealthCheck& check, bool has_tcp, const DraftService& service) {
  const bool over_tcp = check.type == HealthType::tcp || check.type == HealthType::http;
  if (over_tcp && !has_tcp && !check.port) {
    return "a check over TCP needs a \"port\" where the service has no TCP; name one, or write \"type\": \"ping\" or "
           "\"exec\"";
  }
  if (over_tcp && !has_port(check, service)) {
    return "a service on port \"*\" does not say which port to check; name one in \"port\"";
  }
  if (check.type == HealthType::none && has_tcp && draft.interval_or_fall) {
    return "nothing is checked with \"none\", so \"interval\" and \"fall\" do nothing; leave them out";
  }
  if (!draft.typed && !has_tcp && draft.active) {
    return "a service without TCP has no check unless \"type\" names one; leave out what only a check has";
  }
  return {};
}

}  // namespace

std::optional<DraftHealth> read_health(std::string_view key, const JsonValue& value, Errors& errors) {
  DraftHealth draft;
  draft.offset = value.offset;
  if (value.kind == JsonKind::string) {
    const auto type = read_type(key, value, errors);
    if (!type) return std::nullopt;
    if (*type == HealthType::exec) {
      errors.add(value.offset, R"("health": "exec" needs a program; write { "type": "exec", "command": ["/path"] })");
      return std::nullopt;
    }
    draft.typed = true;
    draft.check.type = *type;
    return draft;
  }
  if (value.kind != JsonKind::object) {
    add_mismatch(key, value, R"(a type ("tcp", "http", "ping" or "none") or an object { })", errors);
    return std::nullopt;
  }

  const ObjectReader reader("\"health\"", value, kHealthKeys, errors);
  HealthCheck& check = draft.check;
  read_times(reader, check);
  reader.set(check.rise, "rise", read_integer, kCountRange);
  reader.set(check.fall, "fall", read_integer, kCountRange);
  if (const JsonValue* port = reader.find("port")) {
    if (const auto number = read_integer("port", *port, kPortRange, errors)) {
      check.port = static_cast<std::uint16_t>(*number);
    }
  }
  reader.set(check.path, "path", read_path);
  reader.set(check.host, "host", read_visible);
  reader.set(check.status, "status", read_status);
  reader.set(check.command, "command", read_command);
  draft.interval_or_fall = first_of(reader, {"interval", "fall"});
  draft.active = first_of(reader, {"timeout", "rise", "port"});

  const JsonValue* type = reader.find("type");
  draft.typed = type != nullptr;
  if (type == nullptr) {
    check_untyped_keys(reader);
    return draft;
  }
  const auto meant = read_type("type", *type, errors);
  if (!meant) return std::nullopt;
  check.type = *meant;
  check_typed_keys(reader, check.type);
  if (check.type == HealthType::exec)
    reader.require("command", "a list of a program's absolute path and its arguments");
  return draft;
}

HealthCheck pick_health(const DraftHealth* own, const DraftHealth* defaults, const DraftService& service,
                        Errors& errors) {
  const auto& protocols = service.service.protocols;
  const bool has_tcp =
      protocols.empty() || std::find(protocols.begin(), protocols.end(), Protocol::tcp) != protocols.end();
  const DraftHealth* draft = own != nullptr ? own : defaults;
  HealthCheck check = draft == nullptr ? HealthCheck{} : draft->check;
  if (draft == nullptr || !draft->typed) check.type = has_tcp ? HealthType::tcp : HealthType::none;
  if (draft != nullptr) {
    const std::string what = misfit(*draft, check, has_tcp, service);
    if (!what.empty() && own != nullptr) errors.add(own->offset, "\"health\": " + what);
    if (!what.empty() && check.type != HealthType::none) check = HealthCheck{};
  } else if (!has_port(check, service)) {
    check.type = HealthType::none;
  }
  check.passive = check.type == HealthType::none && !has_tcp;
  return check;
}

}  // namespace vipgate::config
