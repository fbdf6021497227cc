#include "device/netlink.h"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "device/lock.h"
#include "device/netlink_values.h"
#include "device/sysctl.h"

namespace vipgate {
namespace {

constexpr int kMaxAttempts = 10;
constexpr std::size_t kReceiveBuffer = 32768;  // bytes; the kernel fills one for each part of a list
constexpr int kMaxEvents = 100000;
constexpr int kNetnsCookie = 71;  // SO_NETNS_COOKIE, Linux 5.14

using LinkChanges = std::unique_ptr<rtnl_link, NetlinkFree<rtnl_link_put>>;
using Message = std::unique_ptr<nl_msg, NetlinkFree<nlmsg_free>>;
using Callbacks = std::unique_ptr<nl_cb, NetlinkFree<nl_cb_put>>;

/// What the kernel answered to a request.
struct Answer {
  bool done = false;
  int error = 0;  ///< errno
  std::string explanation;
};

int on_error(sockaddr_nl*, nlmsgerr* error, void* argument) {
  auto& answer = *static_cast<Answer*>(argument);
  answer.error = -error->error;
  // The explanation lies behind the request that failed, unless the kernel left that out (NETLINK_EXT_ACK).
  auto* header = reinterpret_cast<nlmsghdr*>(reinterpret_cast<char*>(error) - NLMSG_HDRLEN);
  int skip = static_cast<int>(sizeof(nlmsgerr));
  if ((header->nlmsg_flags & NLM_F_CAPPED) == 0) skip += static_cast<int>(error->msg.nlmsg_len) - NLMSG_HDRLEN;
  if ((header->nlmsg_flags & NLM_F_ACK_TLVS) != 0 && nlmsg_attrlen(header, skip) > 0) {
    const nlattr* text = nla_find(nlmsg_attrdata(header, skip), nlmsg_attrlen(header, skip), NLMSGERR_ATTR_MSG);
    if (text != nullptr)
      answer.explanation.assign(static_cast<const char*>(nla_data(text)), static_cast<std::size_t>(nla_len(text)));
    while (!answer.explanation.empty() && answer.explanation.back() == '\0') answer.explanation.pop_back();
  }
  return NL_STOP;
}

absl::Status failed(const Answer& answer, int netlink_error, const std::string& what) {
  std::string text = what;
  if (!answer.explanation.empty()) absl::StrAppend(&text, " (", answer.explanation, ")");
  switch (answer.error) {
    case 0:
      return absl::UnavailableError(absl::StrCat(text, ": ", nl_geterror(netlink_error)));
    case EPERM:
    case EACCES:
      return absl::PermissionDeniedError(absl::StrCat(text, ": needs root or CAP_NET_ADMIN"));
    case ENOENT:
    case ESRCH:
    case ENODEV:
    case EADDRNOTAVAIL:
      return absl::NotFoundError(absl::StrCat(text, ": ", std::strerror(answer.error)));
    case EEXIST:
      return absl::AlreadyExistsError(absl::StrCat(text, ": there is one already"));
    default:
      return absl::ErrnoToStatus(answer.error, text);
  }
}

struct ObjectContext {
  const std::function<void(nl_object*, nl_msg*)>* on_object = nullptr;
  nl_msg* message = nullptr;
};

int on_valid(nl_msg* message, void* argument) {
  auto& context = *static_cast<ObjectContext*>(argument);
  context.message = message;
  const auto forward = [](nl_object* object, void* inner) {
    const auto& outer = *static_cast<ObjectContext*>(inner);
    (*outer.on_object)(object, outer.message);
  };
  // What libnl cannot parse is nothing that vipgate compares.
  (void)nl_msg_parse(message, forward, argument);
  return NL_OK;
}

int on_acknowledged(nl_msg*, void* argument) {
  static_cast<Answer*>(argument)->done = true;
  return NL_STOP;
}

int on_finished(nl_msg* message, void* argument) {
  auto& answer = *static_cast<Answer*>(argument);
  answer.done = true;
  // A list that failed after it began carries its error in the last message, which libnl does not look at.
  const nlmsghdr* header = nlmsg_hdr(message);
  int error = 0;
  if (nlmsg_datalen(header) >= static_cast<int>(sizeof(error))) std::memcpy(&error, nlmsg_data(header), sizeof(error));
  if (error < 0) answer.error = -error;
  return NL_STOP;
}

template <typename Header>
nl_msg* list_request(int type, const Header& header) {
  nl_msg* message = nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_DUMP);
  Header copy = header;
  if (message != nullptr) nlmsg_append(message, &copy, sizeof(copy), NLMSG_ALIGNTO);
  return message;
}

}  // namespace

void NetlinkKernel::SocketCloser::operator()(nl_sock* socket) const {
  nl_socket_free(socket);
}

absl::StatusOr<std::unique_ptr<NetlinkKernel>> NetlinkKernel::open() {
  std::unique_ptr<NetlinkKernel> kernel(new NetlinkKernel);
  absl::Status status = kernel->connect();
  if (!status.ok()) return status;
  kernel->events_.reset(nl_socket_alloc());
  if (kernel->events_ == nullptr) return absl::ResourceExhaustedError("no memory for a netlink socket");
  int error = nl_connect(kernel->events_.get(), NETLINK_ROUTE);
  for (const int group : {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV4_RULE}) {
    if (error >= 0) error = nl_socket_add_membership(kernel->events_.get(), group);
  }
  if (error < 0) return absl::UnavailableError(absl::StrCat("cannot listen for network changes: ", nl_geterror(error)));
  return kernel;
}

absl::Status NetlinkKernel::connect() {
  socket_.reset(nl_socket_alloc());
  if (socket_ == nullptr) return absl::ResourceExhaustedError("no memory for a netlink socket");
  if (const int error = nl_connect(socket_.get(), NETLINK_ROUTE); error < 0) {
    return absl::UnavailableError(absl::StrCat("cannot open a netlink socket: ", nl_geterror(error)));
  }
  // Older kernels have none of these: then errors are less clear, and more routes are listed than needed.
  const int on = 1;
  for (const int option : {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK}) {
    (void)::setsockopt(nl_socket_get_fd(socket_.get()), SOL_NETLINK, option, &on, sizeof(on));
  }
  (void)nl_socket_set_msg_buf_size(socket_.get(), kReceiveBuffer);
  return absl::OkStatus();
}

absl::Status NetlinkKernel::ask(nl_msg* message, const std::string& what, const OnObject& on_object,
                                bool& interrupted) {
  interrupted = false;
  if (message == nullptr) return absl::ResourceExhaustedError(absl::StrCat(what, ": no memory"));
  const Callbacks callbacks(nl_cb_alloc(NL_CB_DEFAULT));
  Answer answer;
  ObjectContext context{&on_object, nullptr};
  nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, on_valid, &context);
  nl_cb_set(callbacks.get(), NL_CB_ACK, NL_CB_CUSTOM, on_acknowledged, &answer);
  nl_cb_set(callbacks.get(), NL_CB_FINISH, NL_CB_CUSTOM, on_finished, &answer);
  nl_cb_err(callbacks.get(), NL_CB_CUSTOM, on_error, &answer);
  int error = nl_send_auto(socket_.get(), message);
  while (error >= 0 && !answer.done) error = nl_recvmsgs(socket_.get(), callbacks.get());
  interrupted = error == -NLE_DUMP_INTR;
  if (error >= 0 && answer.error == 0) return absl::OkStatus();
  if (answer.error == 0 && !interrupted) {
    // The rest of an answer may still come: on a fresh socket nobody mistakes it for the next one.
    if (absl::Status status = connect(); !status.ok()) return status;
  }
  return failed(answer, error, what);
}

absl::Status NetlinkKernel::transact(nl_msg* message, const std::string& what, const OnObject& on_object) {
  const Message owned(message);
  bool interrupted = false;
  return ask(message, what, on_object, interrupted);
}

absl::Status NetlinkKernel::list(const std::function<nl_msg*()>& build, const std::string& what,
                                 const OnObject& on_object, const std::function<void()>& restart) {
  for (int i = 0; i < kMaxAttempts; ++i) {
    restart();
    const Message message(build());
    bool interrupted = false;
    absl::Status status = ask(message.get(), what, on_object, interrupted);
    if (!interrupted) return status;
  }
  return absl::UnavailableError(absl::StrCat(what, ": the kernel's tables change too fast to be read"));
}

absl::Status NetlinkKernel::list_links(const std::function<void(nl_object*)>& on_link,
                                       const std::function<void()>& restart) {
  return list([] { return list_request(RTM_GETLINK, ifinfomsg{}); }, "cannot list the network devices",
              [&](nl_object* object, nl_msg*) { on_link(object); }, restart);
}

absl::StatusOr<std::map<int, std::string>> NetlinkKernel::names() {
  std::map<int, std::string> names;
  const absl::Status status = list_links(
      [&](nl_object* object) {
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
      [&](nl_object* object) {
        auto* source = reinterpret_cast<rtnl_link*>(object);
        found.emplace_back(link_of(source), rtnl_link_get_master(source));
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

absl::StatusOr<std::string> NetlinkKernel::read_sysctl(const std::string& key) {
  return vipgate::read_sysctl(key);
}

absl::Status NetlinkKernel::write_sysctl(const std::string& key, const std::string& value) {
  return vipgate::write_sysctl(key, value);
}

bool NetlinkKernel::changed() {
  bool changed = std::exchange(first_, false);
  char buffer[64];  // only that there is a message counts: the rest of it is cut off
  for (int i = 0; i < kMaxEvents; ++i) {
    const ssize_t size = ::recv(nl_socket_get_fd(events_.get()), buffer, sizeof(buffer), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EBADF)) break;
    changed = true;  // a message, or ENOBUFS: too many to keep
  }
  return changed;
}

absl::StatusOr<std::string> NetlinkKernel::identity() {
  const absl::StatusOr<std::string> boot = vipgate::read_sysctl("kernel/random/boot_id");
  if (!boot.ok()) return boot.status();
  std::uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  if (::getsockopt(nl_socket_get_fd(socket_.get()), SOL_SOCKET, kNetnsCookie, &cookie, &size) == 0) {
    return absl::StrCat(*boot, "/", cookie);
  }
  struct stat info {};
  if (::stat("/proc/thread-self/ns/net", &info) != 0)
    return absl::ErrnoToStatus(errno, "cannot identify the network namespace");
  return absl::StrCat(*boot, "/inode-", info.st_ino);
}

absl::StatusOr<UniqueFd> NetlinkKernel::lock(const std::string& name) {
  return take_namespace_lock(name);
}

}  // namespace vipgate
