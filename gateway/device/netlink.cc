#include "device/netlink.h"

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
  constexpr std::chrono::seconds kPatience{1};  // `vipgate clean`, which others call when a gateway ends, takes less
  return take_namespace_lock(name, kPatience);
}

}  // namespace vipgate
