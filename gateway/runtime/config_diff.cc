#include "runtime/config_diff.h"

#include <array>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace vipgate {
namespace {

/// A key of the configuration whose value is not told, only that it differs.
template <typename Object>
struct Aspect {
  const char* name;
  bool (*same)(const Object&, const Object&);
};

#define VIPGATE_ASPECT(object, key, member)                                    \
  Aspect<object> {                                                             \
    key, [](const object& a, const object& b) { return a.member == b.member; } \
  }

constexpr std::array kServiceAspects{
    VIPGATE_ASPECT(Service, "protocol", protocols),
    VIPGATE_ASPECT(Service, "port", ports),
    VIPGATE_ASPECT(Service, "port", wildcard),
    VIPGATE_ASPECT(Service, "source", source),
    VIPGATE_ASPECT(Service, "masquerade", masquerade),
    VIPGATE_ASPECT(Service, "idle_timeout", idle_timeout),
    VIPGATE_ASPECT(Service, "allow", allow),
    VIPGATE_ASPECT(Service, "deny", deny),
    VIPGATE_ASPECT(Service, "limits", limits),
    VIPGATE_ASPECT(Service, "helper", helper),
    VIPGATE_ASPECT(Service, "mss", mss),
    VIPGATE_ASPECT(Service, "balance", balance),
    VIPGATE_ASPECT(Service, "affinity", affinity),
    VIPGATE_ASPECT(Service, "on_backend_down", on_backend_down),
};
constexpr std::array kVipAspects{
    VIPGATE_ASPECT(Vip, "shared", shared),
    VIPGATE_ASPECT(Vip, "ping", ping),
    VIPGATE_ASPECT(Vip, "unmatched", unmatched),
};
constexpr std::array kRulesAspects{
    VIPGATE_ASPECT(Rules, "tun.subnet", subnets),
    VIPGATE_ASPECT(Rules, "masquerade", masquerade),
    VIPGATE_ASPECT(Rules, "egress", egress),
    VIPGATE_ASPECT(Rules, "timeouts", timeouts),
};
constexpr std::array kConfigAspects{
    VIPGATE_ASPECT(Config, "tun.mtu", tun.mtu),
    VIPGATE_ASPECT(Config, "kernel.rule_priority", kernel.rule_priority),
    VIPGATE_ASPECT(Config, "kernel.guard", kernel.guard),
    VIPGATE_ASPECT(Config, "announce", announcements),
};
#undef VIPGATE_ASPECT

template <typename Object, std::size_t n>
std::string differing(const std::array<Aspect<Object>, n>& aspects, const Object& before, const Object& after) {
  std::string names;
  std::string_view last;
  for (const Aspect<Object>& aspect : aspects) {
    if (aspect.same(before, after) || aspect.name == last) continue;
    absl::StrAppend(&names, names.empty() ? "" : ", ", aspect.name);
    last = aspect.name;
  }
  return names;
}

class Differences {
 public:
  Differences(const Config& before, const Config& after) : before_(before), after_(after) {}

  std::vector<std::string> all() {
    if (const std::string names = differing(kConfigAspects, before_, after_); !names.empty()) say(names, " changed");
    const Rules& before = before_.rules;
    const Rules& after = after_.rules;
    if (const std::string names = differing(kRulesAspects, before, after); !names.empty()) say(names, " changed");
    each(
        before.vips, after.vips, [](const Vip& vip) { return name_of(vip); },
        [](const Vip& vip) { return absl::StrCat("VIP ", name_of(vip)); },
        [this](const Vip& a, const Vip& b) { vip(a, b); });
    return std::move(lines_);
  }

 private:
  template <typename... Words>
  void say(const Words&... words) {
    lines_.push_back(absl::StrCat(words...));
  }

  /// Compares two lists whose objects are known by a key.
  template <typename Object, typename KeyOf, typename Describe, typename Compare>
  void each(const std::vector<Object>& before, const std::vector<Object>& after, KeyOf key_of, Describe describe,
            Compare compare) {
    absl::flat_hash_map<std::string, const Object*> old;
    for (const Object& object : before) old.emplace(key_of(object), &object);
    for (const Object& object : after) {
      const auto found = old.find(key_of(object));
      if (found == old.end()) {
        say(describe(object), " added");
      } else {
        compare(*found->second, object);
        old.erase(found);
      }
    }
    for (const Object& object : before) {
      const auto left = old.find(key_of(object));
      if (left != old.end() && left->second == &object) say(describe(object), " removed");
    }
  }

  void vip(const Vip& before, const Vip& after) {
    if (const std::string names = differing(kVipAspects, before, after); !names.empty()) {
      say("VIP ", name_of(after), ": ", names, " changed");
    }
    each(
        before.services, after.services, [](const Service& service) { return service.name; },
        [](const Service& service) { return absl::StrCat("service ", service.name); },
        [&](const Service& a, const Service& b) {
          const bool same_health = health_of(before_, before, a) == health_of(after_, after, b);
          service(a, b, same_health ? "" : "health");
        });
  }

  /// `vip` is one of the configuration's, and `service` one of its services.
  static const HealthCheck& health_of(const Config& config, const Vip& vip, const Service& service) {
    return config.health[static_cast<std::size_t>(&vip - config.rules.vips.data())]
                        [static_cast<std::size_t>(&service - vip.services.data())];
  }

  void service(const Service& before, const Service& after, std::string names) {
    const std::string others = differing(kServiceAspects, before, after);
    absl::StrAppend(&names, names.empty() || others.empty() ? "" : ", ", others);
    if (!names.empty()) say(after.name, ": ", names, " changed");
    each(
        before.backends, after.backends, endpoint_of,
        [&](const Backend& backend) { return absl::StrCat(after.name, ": backend ", backend.name); },
        [&](const Backend& a, const Backend& b) {
          if (a.weight != b.weight) {
            say(after.name, ": backend ", b.name, ": weight ", a.weight, " becomes ", b.weight);
          }
          if (a.backup != b.backup) {
            say(after.name, ": backend ", b.name, b.backup ? ": is a backup now" : ": is no backup any more");
          }
          if (a.name != b.name) say(after.name, ": backend ", a.name, ": is called ", b.name);
        });
  }

  static std::string endpoint_of(const Backend& backend) {
    return absl::StrCat(backend.address.to_string(), ":", backend.port.value_or(0));
  }

  const Config& before_;
  const Config& after_;
  std::vector<std::string> lines_;
};

}  // namespace

std::vector<std::string> describe_changes(const Config& before, const Config& after) {
  return Differences(before, after).all();
}

}  // namespace vipgate
