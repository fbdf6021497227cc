#include "runtime/backend_orders.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "runtime/whole_file.h"

namespace vipgate {
namespace {

/// Between a name, which has no control characters, and what is said of it. A version that knows names alone takes the
/// line for a name that nobody has, and leaves it there.
constexpr std::string_view kWeightMark = "\tweight ";

std::string full_name(const Service& service, const Backend& backend) {
  return absl::StrCat(service.name, "/", backend.name);
}

/// The names by which a backend is known: those that mean others as well, the widest first, and those that mean it
/// alone.
struct Names {
  std::vector<std::string> wide;
  std::vector<std::string> own;

  Names(const Service& service, const Backend& backend) {
    const std::string address = backend.address.to_string();
    wide.push_back(address);
    const auto count = std::count_if(service.backends.begin(), service.backends.end(),
                                     [&](const Backend& other) { return other.address == backend.address; });
    (count > 1 ? wide : own).push_back(absl::StrCat(service.name, "/", address));
    own.push_back(full_name(service, backend));
    if (backend.port) own.push_back(absl::StrCat(service.name, "/", address, ":", *backend.port));
  }

  bool is_own(const std::string& name) const { return std::find(own.begin(), own.end(), name) != own.end(); }
  bool has(const std::string& name) const {
    return is_own(name) || std::find(wide.begin(), wide.end(), name) != wide.end();
  }
  /// Of the wide names, how many are wider than this one.
  std::size_t wider_than(const std::string& name) const {
    return static_cast<std::size_t>(std::find(wide.begin(), wide.end(), name) - wide.begin());
  }
};

template <typename AnyRules, typename Visit>
void for_each_backend(AnyRules& rules, Visit&& visit) {
  for (auto& vip : rules.vips) {
    for (auto& service : vip.services) {
      for (auto& backend : service.backends) visit(service, backend);
    }
  }
}

/// Calls `visit` with the names of each backend that is called so; returns these backends.
template <typename Visit>
std::vector<std::string> for_each_meant(const std::string& name, const Rules& rules, Visit&& visit) {
  std::vector<std::string> meant;
  for_each_backend(rules, [&](const Service& service, const Backend& backend) {
    const Names names(service, backend);
    if (!names.has(name)) return;
    meant.push_back(full_name(service, backend));
    visit(names);
  });
  return meant;
}

absl::Status unknown(const std::string& name) {
  return absl::NotFoundError(absl::StrCat("no backend is called '", name,
                                          "'; name one by its address, such as 10.0.0.3, or with its service, such as "
                                          "web/10.0.0.3:8080"));
}

/// Takes what `said` has of `name` out of it, and what it has of the same backends by narrower names.
template <typename Said>
std::vector<std::string> erase_narrower(Said& said, const std::string& name, const Rules& rules) {
  said.erase(name);
  return for_each_meant(name, rules, [&](const Names& names) {
    for (const std::string& own : names.own) said.erase(own);
    for (std::size_t i = names.wider_than(name); i < names.wide.size(); ++i) said.erase(names.wide[i]);
  });
}

/// The same, to take it back. FailedPrecondition: a wider name holds still; `remedy` says what to do about that one.
template <typename Said>
BackendOrders::Meant take_back(Said& said, const std::string& name, const Rules& rules,
                               std::string (*remedy)(const std::string& wider)) {
  const bool listed = said.contains(name);
  std::vector<std::string> meant = erase_narrower(said, name, rules);
  if (meant.empty() && !listed) return unknown(name);
  std::string wider;
  (void)for_each_meant(name, rules, [&](const Names& names) {
    for (const std::string& wide : names.wide) {
      if (said.contains(wide)) wider = wide;
    }
  });
  if (!wider.empty()) return absl::FailedPreconditionError(remedy(wider));
  return meant;
}

}  // namespace

BackendOrders::BackendOrders(const std::string& folder) : path_(absl::StrCat(folder, "/", kName)) {
  std::istringstream lines(read_whole(path_).value_or(""));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t tab = line.find('\t');
    const std::size_t mark = line.find(kWeightMark);
    std::uint32_t weight = 0;
    if (tab == std::string::npos) {
      orders_.drained.insert(line);
    } else if (mark == tab && absl::SimpleAtoi(line.substr(mark + kWeightMark.size()), &weight)) {
      orders_.weights.emplace(line.substr(0, mark), weight);
    } else {
      orders_.others.insert(line);
    }
  }
}

BackendOrders::Meant BackendOrders::drain(const std::string& name, const Rules& rules) {
  auto meant = for_each_meant(name, rules, [](const Names&) {});
  if (meant.empty()) return unknown(name);
  Orders orders = orders_;
  orders.drained.insert(name);
  if (absl::Status status = save(std::move(orders)); !status.ok()) return status;
  return meant;
}

BackendOrders::Meant BackendOrders::undrain(const std::string& name, const Rules& rules) {
  Orders orders = orders_;
  Meant meant = take_back(orders.drained, name, rules, [](const std::string& wider) {
    return absl::StrCat(wider, " is drained as a whole; undrain ", wider);
  });
  if (!meant.ok()) return meant;
  if (absl::Status status = save(std::move(orders)); !status.ok()) return status;
  return meant;
}

BackendOrders::Meant BackendOrders::set_weight(const std::string& name, std::uint32_t weight, const Rules& rules) {
  Orders orders = orders_;
  auto meant = erase_narrower(orders.weights, name, rules);
  if (meant.empty()) return unknown(name);
  orders.weights[name] = weight;
  if (absl::Status status = save(std::move(orders)); !status.ok()) return status;
  return meant;
}

BackendOrders::Meant BackendOrders::reset_weight(const std::string& name, const Rules& rules) {
  Orders orders = orders_;
  Meant meant = take_back(orders.weights, name, rules, [](const std::string& wider) {
    return absl::StrCat(wider, " has its weight as a whole; take back that of ", wider);
  });
  if (!meant.ok()) return meant;
  if (absl::Status status = save(std::move(orders)); !status.ok()) return status;
  return meant;
}

void BackendOrders::mark(Rules& rules) const {
  if (orders_.drained.empty() && orders_.weights.empty()) return;
  for_each_backend(rules, [this](const Service& service, Backend& backend) {
    const Names names(service, backend);
    std::optional<std::uint32_t> weight;
    for (const auto* list : {&names.wide, &names.own}) {
      for (const std::string& name : *list) {
        if (orders_.drained.contains(name)) backend.drained = true;
        if (const auto said = orders_.weights.find(name); said != orders_.weights.end()) weight = said->second;
      }
    }
    if (weight) backend.configured_weight = std::exchange(backend.weight, *weight);
  });
}

absl::Status BackendOrders::save(Orders orders) {
  std::string text;
  for (const std::string& name : orders.drained) absl::StrAppend(&text, name, "\n");
  for (const auto& [name, weight] : orders.weights) {
    absl::StrAppend(&text, name, absl::string_view(kWeightMark.data(), kWeightMark.size()), weight, "\n");
  }
  for (const std::string& line : orders.others) absl::StrAppend(&text, line, "\n");
  if (absl::Status status = write_whole(path_, text); !status.ok()) {
    return absl::UnavailableError(absl::StrCat(std::string(status.message()), "; nothing has changed"));
  }
  orders_ = std::move(orders);
  return absl::OkStatus();
}

}  // namespace vipgate
