#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "device/kernel.h"

namespace vipgate {

/// A LAN in memory, on which time passes while somebody waits.
class FakeArp final : public ArpInterface {
 public:
  Time clock = Time(std::chrono::hours(1));
  std::vector<ArpClaim> others;   ///< what is heard next
  std::vector<ArpClaim> answers;  ///< what is heard once somebody asks for the address on the device
  std::vector<std::string> sent;
  std::set<std::string> devices;  ///< that somebody listens on
  absl::Status refusal;           ///< of everything that is sent

  absl::Status ask(const std::string& device, Ipv4Address address, std::optional<Ipv4Address> own) override {
    if (!refusal.ok()) return refusal;
    devices.insert(device);
    sent.push_back(
        absl::StrCat(device, " ? ", address.to_string(), own ? absl::StrCat(" from ", own->to_string()) : ""));
    for (const ArpClaim& claim : answers) {
      if (claim.device == device && claim.address == address) others.push_back(claim);
    }
    return absl::OkStatus();
  }
  absl::Status announce(const std::string& device, Ipv4Address address) override {
    if (!refusal.ok()) return refusal;
    devices.insert(device);
    sent.push_back(absl::StrCat(device, " ! ", address.to_string()));
    return absl::OkStatus();
  }
  std::vector<ArpClaim> claims() override { return std::exchange(others, {}); }
  void keep_only(const std::set<std::string>& kept) override {
    std::erase_if(devices, [&](const std::string& device) { return !kept.contains(device); });
  }
  Time now() override { return clock; }
  void wait(Duration time) override { clock += time; }
};

/// A kernel in memory. Each call can be made to fail.
class FakeKernel final : public KernelInterface {
 public:
  std::vector<Link> link_list;
  std::vector<HostAddress> address_list;
  std::vector<Route> route_list;
  std::vector<PolicyRule> rule_list;
  std::vector<ProxyNeighbour> proxy_list;
  FakeArp lan;
  std::map<std::string, std::string> sysctls;
  std::string namespace_name = "boot/1";
  bool locked = false;
  bool has_changed = true;

  int calls = 0;
  int failing_call = -1;         ///< this one alone fails, counted from 0
  int dying_call = -1;           ///< from this one on nothing happens any more, as after a kill
  bool dead = false;             ///< it came to that
  std::string failing_name;      ///< what it was
  std::vector<std::string> log;  ///< of calls that change something

  absl::StatusOr<std::vector<Link>> links() override { return read("links", link_list); }
  absl::StatusOr<std::vector<HostAddress>> addresses() override { return read("addresses", address_list); }
  absl::StatusOr<std::vector<Route>> routes(std::uint32_t table) override {
    std::vector<Route> found;
    for (const Route& route : route_list) {
      if (route.table == table) found.push_back(route);
    }
    return read(absl::StrCat("routes of ", table), found);
  }
  absl::StatusOr<std::vector<PolicyRule>> rules() override { return read("rules", rule_list); }
  absl::StatusOr<std::vector<ProxyNeighbour>> proxies() override { return read("proxies", proxy_list); }

  absl::Status add_route(const Route& route) override {
    return change(absl::StrCat("+ route ", route.to_string()), [&] { return add(route_list, route); });
  }
  absl::Status remove_route(const Route& route) override {
    return change(absl::StrCat("- route ", route.to_string()), [&] { return remove(route_list, route); });
  }
  absl::Status add_rule(const PolicyRule& rule) override {
    return change(absl::StrCat("+ rule ", rule.to_string()), [&] { return add(rule_list, rule); });
  }
  absl::Status remove_rule(const PolicyRule& rule) override {
    return change(absl::StrCat("- rule ", rule.to_string()), [&] { return remove(rule_list, rule); });
  }
  absl::Status add_proxy(const ProxyNeighbour& proxy) override {
    return change(absl::StrCat("+ proxy ", proxy.to_string()), [&] { return add(proxy_list, proxy); });
  }
  absl::Status remove_proxy(const ProxyNeighbour& proxy) override {
    return change(absl::StrCat("- proxy ", proxy.to_string()), [&] { return remove(proxy_list, proxy); });
  }
  absl::Status add_address(const HostAddress& address) override {
    return change(absl::StrCat("+ address ", address.to_string()), [&] { return add(address_list, address); });
  }
  absl::Status remove_address(const HostAddress& address) override {
    return change(absl::StrCat("- address ", address.to_string()), [&] { return remove(address_list, address); });
  }
  absl::Status change_link(const std::string& device, const LinkChange& wanted) override {
    return change(absl::StrCat("link ", device, " ", wanted.to_string()), [&]() -> absl::Status {
      for (Link& link : link_list) {
        if (link.name != device) continue;
        if (wanted.up) link.up = *wanted.up;
        if (wanted.mtu) link.mtu = *wanted.mtu;
        if (wanted.queue_length) link.queue_length = *wanted.queue_length;
        return absl::OkStatus();
      }
      return absl::NotFoundError("no such link");
    });
  }
  absl::Status delete_link(const std::string& device) override {
    return change(absl::StrCat("- link ", device), [&]() -> absl::Status {
      if (std::erase_if(link_list, [&](const Link& link) { return link.name == device; }) == 0)
        return absl::NotFoundError("no such link");
      std::erase_if(route_list, [&](const Route& route) { return route.device == device; });
      std::erase_if(address_list, [&](const HostAddress& address) { return address.device == device; });
      std::erase_if(sysctls,
                    [&](const auto& entry) { return entry.first.find("/" + device + "/") != std::string::npos; });
      return absl::OkStatus();
    });
  }

  absl::StatusOr<std::string> read_sysctl(const std::string& key) override {
    if (absl::Status status = step(absl::StrCat("read ", key)); !status.ok()) return status;
    const auto found = sysctls.find(key);
    if (found == sysctls.end()) return absl::NotFoundError(absl::StrCat("no sysctl ", key));
    return found->second;
  }
  absl::Status write_sysctl(const std::string& key, const std::string& value) override {
    return change(absl::StrCat(key, "=", value), [&]() -> absl::Status {
      if (!sysctls.contains(key)) return absl::NotFoundError("no such sysctl");
      sysctls[key] = value;
      if (key == "net/ipv4/ip_forward") {  // as inet_forward_change() does
        for (auto& [other, its_value] : sysctls) {
          if (other.ends_with("/forwarding")) its_value = value;
        }
        sysctls["net/ipv4/conf/all/accept_redirects"] = value == "0" ? "1" : "0";
      }
      return absl::OkStatus();
    });
  }

  ArpInterface& arp() override { return lan; }
  bool changed() override { return has_changed; }
  absl::StatusOr<std::string> identity() override { return read("identity", namespace_name); }
  absl::StatusOr<UniqueFd> lock(const std::string& name) override {
    if (absl::Status status = step(absl::StrCat("lock ", name)); !status.ok()) return status;
    if (locked) return absl::AlreadyExistsError("process 4711 holds it");
    return UniqueFd();
  }

  /// All that a gateway may change, to be compared.
  std::vector<std::string> state() const {
    std::vector<std::string> lines;
    for (const Link& link : link_list) lines.push_back(absl::StrCat("link ", link.to_string()));
    for (const HostAddress& address : address_list) lines.push_back(absl::StrCat("address ", address.to_string()));
    for (const Route& route : route_list) lines.push_back(absl::StrCat("route ", route.to_string()));
    for (const PolicyRule& rule : rule_list) lines.push_back(absl::StrCat("rule ", rule.to_string()));
    for (const ProxyNeighbour& proxy : proxy_list) lines.push_back(absl::StrCat("proxy ", proxy.to_string()));
    for (const auto& [key, value] : sysctls) lines.push_back(absl::StrCat("sysctl ", key, "=", value));
    std::sort(lines.begin(), lines.end());
    return lines;
  }

 private:
  absl::Status step(const std::string& name) {
    dead = dead || calls == dying_call;
    if (dead) return ++calls, absl::InternalError("killed");
    if (calls++ != failing_call) return absl::OkStatus();
    failing_name = name;
    return absl::InternalError(absl::StrCat("refused: ", name));
  }
  template <typename T>
  absl::StatusOr<T> read(const std::string& name, const T& value) {
    if (absl::Status status = step(name); !status.ok()) return status;
    return value;
  }
  template <typename Action>
  absl::Status change(const std::string& name, Action action) {
    if (absl::Status status = step(name); !status.ok()) return status;
    log.push_back(name);
    return action();
  }
  template <typename T>
  static absl::Status add(std::vector<T>& list, const T& value) {
    if (std::find(list.begin(), list.end(), value) != list.end()) return absl::AlreadyExistsError(value.to_string());
    list.push_back(value);
    return absl::OkStatus();
  }
  template <typename T>
  static absl::Status remove(std::vector<T>& list, const T& value) {
    return std::erase(list, value) != 0 ? absl::OkStatus() : absl::NotFoundError(value.to_string());
  }
};

}  // namespace vipgate
