#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "device/netlink.h"
#include "device/netlink_values.h"

// The kernel's tables: reading them, adding, removing. How it is asked: netlink.cc.
namespace vipgate {
namespace {

using LinkChanges = std::unique_ptr<rtnl_link, NetlinkFree<rtnl_link_put>>;

template <typename Header>
nl_msg* list_request(int type, const Header& header) {
  nl_msg* message = nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_DUMP);
  Header copy = header;
  if (message != nullptr) nlmsg_append(message, &copy, sizeof(copy), NLMSG_ALIGNTO);
  return message;
}

}  // namespace

absl::Status NetlinkKernel::list_links(const OnObject& on_link, const std::function<void()>& restart) {
  return list([] { return list_request(RTM_GETLINK, ifinfomsg{}); }, "cannot list the network devices", on_link,
              restart);
}

absl::StatusOr<std::map<int, std::string>> NetlinkKernel::names() {
  std::map<int, std::string> names;
  const absl::Status status = list_links(
      [&](nl_object* object, nl_msg*) {
        auto* link = reinterpret_cast<rtnl_link*>(object);
        names[rtnl_link_get_ifindex(link)] = rtnl_link_get_name(link);
      },
      [&] { names.clear(); });
  if (!status.ok()) return status;
  return names;
}

absl::StatusOr<int> NetlinkKernel::index_of(const std::string& device) {
  if (device.empty()) return 0;
  nl_msg* message = nullptr;
  (void)rtnl_link_build_get_request(0, device.c_str(), &message);
  int index = 0;
  const absl::Status status = transact(
      message, absl::StrCat("cannot find device ", device),
      [&](nl_object* object, nl_msg*) { index = rtnl_link_get_ifindex(reinterpret_cast<rtnl_link*>(object)); });
  if (!status.ok()) return status;
  return index;
}

absl::StatusOr<std::vector<Link>> NetlinkKernel::links() {
  std::vector<std::pair<Link, int>> found;  // with the index of the master
  const absl::Status status = list_links(
      [&](nl_object* object, nl_msg* message) {
        auto* source = reinterpret_cast<rtnl_link*>(object);
        found.emplace_back(link_of(source, message), rtnl_link_get_master(source));
      },
      [&] { found.clear(); });
  if (!status.ok()) return status;
  std::vector<Link> links;
  for (auto& [link, master] : found) {
    for (const auto& [other, unused] : found) {
      if (master != 0 && other.index == master) link.master = other.name;
    }
  }
  links.reserve(found.size());
  for (auto& [link, master] : found) links.push_back(std::move(link));
  return links;
}

absl::StatusOr<std::vector<HostAddress>> NetlinkKernel::addresses() {
  const absl::StatusOr<std::map<int, std::string>> devices = names();
  if (!devices.ok()) return devices.status();
  std::vector<HostAddress> addresses;
  ifaddrmsg request{};
  request.ifa_family = AF_INET;
  const absl::Status status =
      list([&] { return list_request(RTM_GETADDR, request); }, "cannot list this host's addresses",
           [&](nl_object* object, nl_msg*) {
             auto* source = reinterpret_cast<rtnl_addr*>(object);
             const auto device = devices->find(rtnl_addr_get_ifindex(source));
             if (device == devices->end()) return;  // came or went between the two lists: an event follows
             addresses.push_back(address_of(source, device->second));
           },
           [&] { addresses.clear(); });
  if (!status.ok()) return status;
  return addresses;
}

absl::StatusOr<std::vector<Route>> NetlinkKernel::routes(std::uint32_t table) {
  const absl::StatusOr<std::map<int, std::string>> devices = names();
  if (!devices.ok()) return devices.status();
  std::vector<Route> routes;
  const auto build = [&] {
    rtmsg request{};
    request.rtm_family = AF_INET;
    nl_msg* message = list_request(RTM_GETROUTE, request);
    // The kernel leaves the other tables out: a full Internet table elsewhere costs nothing.
    if (message != nullptr) nla_put_u32(message, RTA_TABLE, table);
    return message;
  };
  const auto on_route = [&](nl_object* object, nl_msg*) {
    auto* source = reinterpret_cast<rtnl_route*>(object);
    if (rtnl_route_get_table(source) != table) return;
    for (Route& route : routes_of(source, *devices)) routes.push_back(std::move(route));
  };
  const absl::Status status =
      list(build, absl::StrCat("cannot list the routes of table ", table), on_route, [&] { routes.clear(); });
  if (absl::IsNotFound(status)) return std::vector<Route>();  // a table exists while it has routes
  if (!status.ok()) return status;
  return routes;
}

absl::StatusOr<Route> NetlinkKernel::route_to(Ipv4Address address) {
  const absl::StatusOr<std::map<int, std::string>> devices = names();
  if (!devices.ok()) return devices.status();
  nl_msg* message = nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_REQUEST);
  rtmsg request{};
  request.rtm_family = AF_INET;
  request.rtm_dst_len = 32;
  if (message != nullptr) {
    nlmsg_append(message, &request, sizeof(request), NLMSG_ALIGNTO);
    nla_put_u32(message, RTA_DST, htonl(address.value()));
  }
  std::optional<Route> route;
  const absl::Status status = transact(message, "no route", [&](nl_object* object, nl_msg*) {
    const std::vector<Route> found = routes_of(reinterpret_cast<rtnl_route*>(object), *devices);
    if (!found.empty()) route = found.front();
  });
  if (absl::IsPermissionDenied(status)) return absl::UnavailableError("a route or rule prohibits it");  // EACCES
  if (absl::IsInvalidArgument(status)) return absl::UnavailableError("a blackhole route swallows it");
  if (!status.ok()) return status;
  if (!route) return absl::UnavailableError("no route");
  return *route;
}

absl::StatusOr<std::vector<PolicyRule>> NetlinkKernel::rules() {
  std::vector<PolicyRule> rules;
  fib_rule_hdr request{};
  request.family = AF_INET;
  const absl::Status status = list([&] { return list_request(RTM_GETRULE, request); }, "cannot list the policy rules",
                                   [&](nl_object* object, nl_msg* message) {
                                     rules.push_back(rule_of(reinterpret_cast<rtnl_rule*>(object), message));
                                   },
                                   [&] { rules.clear(); });
  if (!status.ok()) return status;
  return rules;
}

absl::StatusOr<std::vector<ProxyNeighbour>> NetlinkKernel::proxies() {
  const absl::StatusOr<std::map<int, std::string>> devices = names();
  if (!devices.ok()) return devices.status();
  std::vector<ProxyNeighbour> proxies;
  ndmsg request{};
  request.ndm_family = AF_INET;
  request.ndm_flags = NTF_PROXY;
  const absl::Status status = list([&] { return list_request(RTM_GETNEIGH, request); }, "cannot list the ARP proxies",
                                   [&](nl_object* object, nl_msg* message) {
                                     auto* source = reinterpret_cast<rtnl_neigh*>(object);
                                     const auto device = devices->find(rtnl_neigh_get_ifindex(source));
                                     if (device == devices->end()) return;  // one for all devices, or gone meanwhile
                                     proxies.push_back(proxy_of(source, message, device->second));
                                   },
                                   [&] { proxies.clear(); });
  if (!status.ok()) return status;
  return proxies;
}

absl::Status NetlinkKernel::add_route(const Route& route) {
  const absl::StatusOr<int> device = index_of(route.device);
  if (!device.ok()) return device.status();
  nl_msg* message = nullptr;
  (void)rtnl_route_build_add_request(to_netlink(route, *device).get(), NLM_F_CREATE | NLM_F_EXCL, &message);
  return transact(message, absl::StrCat("cannot add route ", route.to_string()));
}

absl::Status NetlinkKernel::remove_route(const Route& route) {
  const absl::StatusOr<int> device = index_of(route.device);
  if (!device.ok()) return device.status();
  nl_msg* message = nullptr;
  (void)rtnl_route_build_del_request(to_netlink(route, *device).get(), 0, &message);
  return transact(message, absl::StrCat("cannot remove route ", route.to_string()));
}

absl::Status NetlinkKernel::add_rule(const PolicyRule& rule) {
  nl_msg* message = nullptr;
  (void)rtnl_rule_build_add_request(to_netlink(rule).get(), NLM_F_CREATE | NLM_F_EXCL, &message);
  return transact(message, absl::StrCat("cannot add rule ", rule.to_string()));
}

absl::Status NetlinkKernel::remove_rule(const PolicyRule& rule) {
  nl_msg* message = nullptr;
  (void)rtnl_rule_build_delete_request(to_netlink(rule).get(), 0, &message);
  return transact(message, absl::StrCat("cannot remove rule ", rule.to_string()));
}

absl::Status NetlinkKernel::add_proxy(const ProxyNeighbour& proxy) {
  const absl::StatusOr<int> device = index_of(proxy.device);
  if (!device.ok()) return device.status();
  nl_msg* message = nullptr;
  (void)rtnl_neigh_build_add_request(to_netlink(proxy, *device).get(), NLM_F_CREATE, &message);
  if (message != nullptr) nla_put_u8(message, kNeighbourProtocol, proxy.protocol);  // libnl does not know it
  return transact(message, absl::StrCat("cannot answer ARP for ", proxy.to_string()));
}

absl::Status NetlinkKernel::remove_proxy(const ProxyNeighbour& proxy) {
  const absl::StatusOr<int> device = index_of(proxy.device);
  if (!device.ok()) return device.status();
  nl_msg* message = nullptr;
  (void)rtnl_neigh_build_delete_request(to_netlink(proxy, *device).get(), 0, &message);
  return transact(message, absl::StrCat("cannot end answering ARP for ", proxy.to_string()));
}

absl::Status NetlinkKernel::add_address(const HostAddress& address) {
  const absl::StatusOr<int> device = index_of(address.device);
  if (!device.ok()) return device.status();
  nl_msg* message = nullptr;
  (void)rtnl_addr_build_add_request(to_netlink(address, *device).get(), NLM_F_CREATE | NLM_F_EXCL, &message);
  return transact(message, absl::StrCat("cannot add address ", address.to_string()));
}

absl::Status NetlinkKernel::remove_address(const HostAddress& address) {
  const absl::StatusOr<int> device = index_of(address.device);
  if (!device.ok()) return device.status();
  nl_msg* message = nullptr;
  (void)rtnl_addr_build_delete_request(to_netlink(address, *device).get(), 0, &message);
  return transact(message, absl::StrCat("cannot remove address ", address.to_string()));
}

absl::Status NetlinkKernel::change_link(const std::string& device, const LinkChange& change) {
  const absl::StatusOr<int> index = index_of(device);
  if (!index.ok()) return index.status();
  const LinkChanges original(rtnl_link_alloc());
  rtnl_link_set_ifindex(original.get(), *index);
  const LinkChanges changes(rtnl_link_alloc());
  if (change.up) (*change.up ? rtnl_link_set_flags : rtnl_link_unset_flags)(changes.get(), IFF_UP);
  if (change.mtu) rtnl_link_set_mtu(changes.get(), *change.mtu);
  if (change.queue_length) rtnl_link_set_txqlen(changes.get(), *change.queue_length);
  nl_msg* message = nullptr;
  (void)rtnl_link_build_change_request(original.get(), changes.get(), 0, &message);
  return transact(message, absl::StrCat("cannot set device ", device, " ", change.to_string()));
}

absl::Status NetlinkKernel::delete_link(const std::string& device) {
  const absl::StatusOr<int> index = index_of(device);
  if (!index.ok()) return index.status();
  const LinkChanges link(rtnl_link_alloc());
  rtnl_link_set_ifindex(link.get(), *index);
  nl_msg* message = nullptr;
  (void)rtnl_link_build_delete_request(link.get(), &message);
  return transact(message, absl::StrCat("cannot delete device ", device));
}

}  // namespace vipgate
