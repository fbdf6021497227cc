#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <iomanip>
#include <iostream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/ask.h"
#include "cli/terminal.h"

namespace vipgate {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

/// A terminal that gives keys at once and shows no cursor; as it was before, at the end.
class Screen {
 public:
  Screen() {
    ::tcgetattr(STDIN_FILENO, &before_);
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    std::cout << "\x1b[?1049h\x1b[?25l";
  }
  ~Screen() {
    std::cout << "\x1b[?25h\x1b[?1049l" << std::flush;
    ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  std::size_t rows() const {
    winsize size{};
    return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
  }
  /// The next key, 0 when none comes until then.
  char key(Clock::time_point until) const {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
    pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    char letter = 0;
    if (::poll(&input, 1, static_cast<int>(std::max<std::int64_t>(0, left.count()))) <= 0) return 0;
    return ::read(STDIN_FILENO, &letter, 1) == 1 ? letter : 'q';  // the terminal is gone
  }
  void show(const std::string& text) const { std::cout << "\x1b[H\x1b[J" << text << std::flush; }

 private:
  termios before_{};
};

/// What grows, of one backend of one service.
struct Totals {
  double opened = 0;
  double packets = 0;
  double to_bytes = 0;
  double from_bytes = 0;
};
struct Row {
  std::string name;
  std::string state;
  Colour colour{};
  double flows = 0;
  Totals totals;
  Totals rates;  ///< a second
};

std::vector<Row> rows_of(const Json& status) {
  std::vector<Row> rows;
  for (const Json& vip : status["vips"]) {
    for (const Json& service : vip["services"]) {
      for (const Json& backend : service["backends"]) {
        const Json& to = backend["to_backend"];
        const Json& from = backend["from_backend"];
        rows.push_back(
            {.name = absl::StrCat(service["name"].get<std::string>(), "/", backend["name"].get<std::string>()),
             .state = backend["state"],
             .colour = colour_of(backend),
             .flows = backend["flows"],
             .totals = {.opened = backend["flows_opened"],
                        .packets = to["packets"].get<double>() + from["packets"].get<double>(),
                        .to_bytes = to["bytes"],
                        .from_bytes = from["bytes"]},
             .rates = {}});
      }
    }
  }
  return rows;
}

std::map<std::string, double> refused_of(const Json& status) {
  std::map<std::string, double> reasons;
  for (const auto& [name, count] : status["counters"]["reasons"].items()) reasons[name] = count.get<double>();
  return reasons;
}

/// In a column of its own, and in its colour.
std::string state_text(const Row& row) {
  constexpr std::size_t kWidth = 9;
  return std::string(kWidth - std::min(kWidth, row.state.size()), ' ') + coloured(row.colour, row.state);
}

/// "1.25 G"
std::string scaled(double value) {
  constexpr std::array kPrefixes{"", " k", " M", " G", " T"};
  std::size_t prefix = 0;
  while (value >= 1000 && prefix + 1 < kPrefixes.size()) {
    value /= 1000;
    ++prefix;
  }
  return absl::StrFormat("%.*f%s", prefix == 0 ? 0 : 2, value, kPrefixes[prefix]);
}

/// Two looks at the gateway, and what happened between them.
class View {
 public:
  void take(const Json& status, Clock::time_point now) {
    const double seconds = last_ ? std::chrono::duration<double>(now - *last_).count() : 0;
    std::map<std::string, Totals> before;
    for (const Row& row : rows_) before[row.name] = row.totals;
    rows_ = rows_of(status);
    for (Row& row : rows_) {
      const auto found = before.find(row.name);
      if (found == before.end() || seconds <= 0) continue;
      const Totals& earlier = found->second;
      row.rates = {.opened = (row.totals.opened - earlier.opened) / seconds,
                   .packets = (row.totals.packets - earlier.packets) / seconds,
                   .to_bytes = (row.totals.to_bytes - earlier.to_bytes) / seconds,
                   .from_bytes = (row.totals.from_bytes - earlier.from_bytes) / seconds};
    }
    const std::map<std::string, double> refused = refused_of(status);
    refusals_.clear();
    for (const auto& [name, count] : refused) {
      const auto found = refused_.find(name);
      const double rate = seconds > 0 ? (count - (found == refused_.end() ? 0 : found->second)) / seconds : 0;
      refusals_.emplace_back(name, rate);
    }
    refused_ = refused;
    head_ = absl::StrFormat("vipgate %s  flows %d of %d%s", status["version"].get<std::string>(),
                            status["flows"]["now"].get<std::int64_t>(), status["flows"]["max"].get<std::int64_t>(),
                            status["standby"].get<bool>() ? "  STANDING BY" : "");
    last_ = now;
  }

  /// 'b': bytes, 'p': packets, 'n': new flows, 'f': flows, 's': by name.
  void sort_by(char key) { key_ = key; }
  void filter(std::string text) { filter_ = std::move(text); }

  std::string text(std::size_t most_rows, const std::string& prompt) {
    std::stable_sort(rows_.begin(), rows_.end(), [this](const Row& a, const Row& b) {
      return key_ == 's' ? a.name < b.name : weight(a) > weight(b);
    });
    std::ostringstream out;
    out << head_ << '\n';
    double refused = 0;
    std::string worst;
    double most = 0;
    for (const auto& [name, rate] : refusals_) {
      refused += rate;
      if (rate > most) {
        most = rate;
        worst = name;
      }
    }
    out << "refused " << scaled(refused) << "/s" << (worst.empty() ? "" : absl::StrCat(", most of it ", worst)) << '\n'
        << prompt << '\n'
        << std::left << std::setw(36) << "SERVICE/BACKEND" << std::right << std::setw(9) << "STATE" << std::setw(10)
        << "FLOWS" << std::setw(10) << "NEW/s" << std::setw(11) << "PACKETS/s" << std::setw(12) << "TO bit/s"
        << std::setw(12) << "FROM bit/s" << '\n';
    std::size_t shown = 0;
    for (const Row& row : rows_) {
      if (row.name.find(filter_) == std::string::npos) continue;
      if (shown++ == most_rows) break;
      out << std::left << std::setw(36) << row.name << std::right << state_text(row) << std::setw(10)
          << scaled(row.flows) << std::setw(10) << scaled(row.rates.opened) << std::setw(11)
          << scaled(row.rates.packets) << std::setw(12) << scaled(8 * row.rates.to_bytes) << std::setw(12)
          << scaled(8 * row.rates.from_bytes) << '\n';
    }
    return out.str();
  }

  Json json() const {
    Json backends = Json::array();
    for (const Row& row : rows_) {
      backends.push_back({{"name", row.name},
                          {"state", row.state},
                          {"flows", row.flows},
                          {"new_per_second", row.rates.opened},
                          {"packets_per_second", row.rates.packets},
                          {"to_backend_bits_per_second", 8 * row.rates.to_bytes},
                          {"from_backend_bits_per_second", 8 * row.rates.from_bytes}});
    }
    Json refused = Json::object();
    for (const auto& [name, rate] : refusals_) refused[name] = rate;
    return {{"backends", std::move(backends)}, {"refused_per_second", std::move(refused)}};
  }

 private:
  double weight(const Row& row) const {
    switch (key_) {
      case 'p':
        return row.rates.packets;
      case 'n':
        return row.rates.opened;
      case 'f':
        return row.flows;
      default:
        return row.rates.to_bytes + row.rates.from_bytes;
    }
  }

  std::vector<Row> rows_;
  std::map<std::string, double> refused_;
  std::vector<std::pair<std::string, double>> refusals_;
  std::string head_;
  std::optional<Clock::time_point> last_;
  std::string filter_;
  char key_ = 'b';
};

constexpr const char* kKeys = "sort: b bytes, p packets, n new flows, f flows, s name;  / filter;  q quit";
constexpr std::size_t kHeadRows = 5;

ExitCode show_once(const TopCommand& command, Clock::duration interval) {
  View view;
  for (int look = 0; look < 2; ++look) {
    if (look > 0) std::this_thread::sleep_for(interval);
    const Answer answer = ask(command.gateway, "GET", "/v1/status");
    if (answer.code != kDone) return answer.code;
    view.take(answer.body, Clock::now());
  }
  if (command.json) {
    std::cout << view.json().dump(2) << '\n';
  } else {
    std::cout << view.text(SIZE_MAX, "");
  }
  return kDone;
}

}  // namespace

ExitCode top(const TopCommand& command) {
  const auto interval = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(command.interval));
  if (command.once || command.json || ::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0)
    return show_once(command, interval);
  View view;
  Answer answer = ask(command.gateway, "GET", "/v1/status");
  if (answer.code != kDone) return answer.code;
  std::optional<Screen> screen(std::in_place);
  std::string filter;
  bool typing = false;
  auto due = Clock::now();
  for (;;) {
    if (Clock::now() >= due) {
      view.take(answer.body, Clock::now());
      due = Clock::now() + interval;
    }
    view.filter(filter);
    const std::string prompt = typing ? absl::StrCat("/", filter, "_") : filter.empty() ? kKeys : "filter: " + filter;
    screen->show(view.text(screen->rows() - kHeadRows, prompt));
    const char key = screen->key(due);
    if (key == 0) {
      answer = ask(command.gateway, "GET", "/v1/status");
      if (answer.code != kDone) return answer.code;
    } else if (typing && (key == '\n' || key == '\r')) {
      typing = false;
    } else if (typing && (key == 0x7f || key == '\b')) {
      if (!filter.empty()) filter.pop_back();
    } else if (typing) {
      filter.push_back(key);
    } else if (key == 'q') {
      return kDone;
    } else if (key == '/') {
      typing = true;
      filter.clear();
    } else if (std::string_view("bpnfs").find(key) != std::string_view::npos) {
      view.sort_by(key);
    }
  }
}

}  // namespace vipgate
