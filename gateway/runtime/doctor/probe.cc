#include "runtime/doctor/probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "device/unique_fd.h"

namespace vipgate::doctor {
namespace {

constexpr std::chrono::milliseconds kPatience{2000};
constexpr std::size_t kAtOnce = 256;  // descriptors

struct Trial {
  Endpoint endpoint;
  UniqueFd socket{};
  int error = ETIMEDOUT;  ///< errno; 0: it came about
};

void begin(Trial& trial) {
  trial.socket.reset(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(trial.endpoint.port);
  address.sin_addr.s_addr = htonl(trial.endpoint.address.value());
  if (trial.socket && ::connect(trial.socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    trial.error = 0;
  } else if (!trial.socket || errno != EINPROGRESS) {
    trial.error = errno;
    trial.socket.reset();
  }
}

void await(std::vector<Trial>& trials) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (true) {
    std::vector<pollfd> waiting;
    std::vector<Trial*> theirs;
    for (Trial& trial : trials) {
      if (!trial.socket || trial.error == 0) continue;
      waiting.push_back({.fd = trial.socket.get(), .events = POLLOUT, .revents = 0});
      theirs.push_back(&trial);
    }
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (waiting.empty() || left.count() <= 0) return;
    if (::poll(waiting.data(), waiting.size(), static_cast<int>(left.count())) < 0 && errno != EINTR) return;
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      if (waiting[i].revents == 0) continue;
      socklen_t size = sizeof(theirs[i]->error);
      (void)::getsockopt(waiting[i].fd, SOL_SOCKET, SO_ERROR, &theirs[i]->error, &size);
      if (theirs[i]->error != 0) theirs[i]->socket.reset();
    }
  }
}

std::map<Endpoint, std::string> endpoints_of(const Config& config) {
  std::map<Endpoint, std::string> endpoints;  // and a service of theirs
  for (const Vip& vip : config.rules.vips) {
    for (const Service& service : vip.services) {
      const auto& protocols = service.protocols;
      if (std::find(protocols.begin(), protocols.end(), Protocol::tcp) == protocols.end()) continue;
      const bool single =
          !service.wildcard && service.ports.size() == 1 && service.ports[0].first == service.ports[0].last;
      for (const Backend& backend : service.backends) {
        if (!backend.port && !single) continue;
        endpoints.try_emplace({backend.address, backend.port.value_or(service.ports[0].first)}, service.name);
      }
    }
  }
  return endpoints;
}

}  // namespace

void probe_backends(const Config& config, Report& report) {
  const std::map<Endpoint, std::string> endpoints = endpoints_of(config);
  std::size_t failed = 0;
  for (auto next = endpoints.begin(); next != endpoints.end();) {
    std::vector<Trial> trials;
    for (; next != endpoints.end() && trials.size() < kAtOnce; ++next) trials.push_back({.endpoint = next->first});
    for (Trial& trial : trials) begin(trial);
    await(trials);
    for (const Trial& trial : trials) {
      if (trial.error == 0) continue;
      ++failed;
      const std::string address = trial.endpoint.address.to_string();
      report.stops("backends",
                   absl::StrCat("no connection to ", trial.endpoint.to_string(), " (service ",
                                endpoints.at(trial.endpoint), "): ", std::strerror(trial.error)),
                   absl::StrCat("tcp ", trial.endpoint.to_string()),
                   {trial.error == ECONNREFUSED ? "start the server there, on that port"
                                                : absl::StrCat("ip route get ", address, "; ip neighbour show ",
                                                               address, "; and the firewall there")});
    }
  }
  if (failed == 0 && !endpoints.empty())
    report.good("backends", absl::StrCat("connections come about to all ", endpoints.size()));
}

}  // namespace vipgate::doctor
