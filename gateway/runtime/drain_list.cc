#include "runtime/drain_list.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/whole_file.h"

namespace vipgate {
namespace {

std::string full_name(const Service& service, const Backend& backend) {
  return absl::StrCat(service.name, "/", backend.name);
}

/// All names by which a backend is known.
std::vector<std::string> names_of(const Service& service, const Backend& backend) {
  const std::string address = backend.address.to_string();
  return {address, full_name(service, backend), absl::StrCat(service.name, "/", address),
          absl::StrCat(service.name, "/", address, backend.port ? absl::StrCat(":", *backend.port) : "")};
}

bool is_named(const std::string& name, const Service& service, const Backend& backend) {
  const auto names = names_of(service, backend);
  return std::find(names.begin(), names.end(), name) != names.end();
}

template <typename Visit>
void for_each_backend(const Rules& rules, Visit&& visit) {
  for (const Vip& vip : rules.vips) {
    for (const Service& service : vip.services) {
      for (const Backend& backend : service.backends) visit(service, backend);
    }
  }
}

absl::Status unknown(const std::string& name) {
  return absl::NotFoundError(absl::StrCat("no backend is called '", name,
                                          "'; name one by its address, such as 10.0.0.3, or with its service, such as "
                                          "web/10.0.0.3:8080"));
}

}  // namespace

DrainList::DrainList(const std::string& folder) : path_(absl::StrCat(folder, "/", kName)) {
  std::istringstream lines(read_whole(path_).value_or(""));
  for (std::string line; std::getline(lines, line);) names_.insert(line);
}

bool DrainList::holds(const Service& service, const Backend& backend) const {
  if (names_.empty()) return false;
  const auto names = names_of(service, backend);
  return std::any_of(names.begin(), names.end(), [this](const std::string& name) { return names_.contains(name); });
}

absl::StatusOr<std::vector<std::string>> DrainList::add(const std::string& name, const Rules& rules) {
  std::vector<std::string> meant;
  for_each_backend(rules, [&](const Service& service, const Backend& backend) {
    if (is_named(name, service, backend)) meant.push_back(full_name(service, backend));
  });
  if (meant.empty()) return unknown(name);
  std::set<std::string> names = names_;
  names.insert(name);
  if (absl::Status status = save(std::move(names)); !status.ok()) return status;
  return meant;
}

absl::StatusOr<std::vector<std::string>> DrainList::remove(const std::string& name, const Rules& rules) {
  std::set<std::string> names = names_;
  const bool listed = names.erase(name) > 0;
  std::vector<std::string> meant;
  std::string wider;
  for_each_backend(rules, [&](const Service& service, const Backend& backend) {
    if (!is_named(name, service, backend)) return;
    meant.push_back(full_name(service, backend));
    // Its other names go with it, but not one that means others as well.
    const std::string address = backend.address.to_string();
    for (const std::string& other : names_of(service, backend)) {
      if (other != address) names.erase(other);
    }
    if (names.contains(address)) wider = address;
  });
  if (meant.empty() && !listed) return unknown(name);
  if (!wider.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(wider, " is drained in every service; undrain ", wider));
  }
  if (absl::Status status = save(std::move(names)); !status.ok()) return status;
  return meant;
}

absl::Status DrainList::save(std::set<std::string> names) {
  std::string text;
  for (const std::string& name : names) absl::StrAppend(&text, name, "\n");
  if (absl::Status status = write_whole(path_, text); !status.ok()) {
    return absl::UnavailableError(absl::StrCat(std::string(status.message()), "; nothing has changed"));
  }
  names_ = std::move(names);
  return absl::OkStatus();
}

}  // namespace vipgate
