#include "runtime/estate.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <map>
#include <tuple>
#include <utility>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "device/descriptors.h"
#include "vipgate/engine.h"

namespace vipgate {
namespace {

using Json = nlohmann::json;

/// A large one has 10,000 services with some backends each.
constexpr std::size_t kMaxBytes = std::size_t{256} << 20;

template <typename Owner>
struct Field {
  const char* name;
  std::uint64_t Owner::*count;
};
// Until C++20's deduction for aggregates is in every compiler we build with: clang has it from 17 on.
template <typename Owner>
Field(const char*, std::uint64_t Owner::*) -> Field<Owner>;

constexpr std::array kFields{
    Field{"packets_read", &WorkerCounters::packets_read},
    Field{"bytes_read", &WorkerCounters::bytes_read},
    Field{"packets_written", &WorkerCounters::packets_written},
    Field{"bytes_written", &WorkerCounters::bytes_written},
    Field{"super_packets_read", &WorkerCounters::super_packets_read},
    Field{"packets_coalesced", &WorkerCounters::packets_coalesced},
    Field{"write_failures", &WorkerCounters::write_failures},
    Field{"hand_off_full", &WorkerCounters::hand_off_full},
};
constexpr std::array kEngineFields{
    Field{"flows_opened", &Counters::flows_opened},
    Field{"flows_expired", &Counters::flows_expired},
    Field{"flows_evicted", &Counters::flows_evicted},
    Field{"flows_revoked", &Counters::flows_revoked},
    Field{"flows_ended", &Counters::flows_ended},
    Field{"datagrams_expired", &Counters::datagrams_expired},
    Field{"data_connections_announced", &Counters::data_connections_announced},
    Field{"data_connections_refused", &Counters::data_connections_refused},
};

/// Calls `visit` with each counter and its name.
template <typename Worker, typename Visit>
void for_each_counter(Worker& counters, Visit&& visit) {
  for (const auto& field : kFields) visit(std::string(field.name), counters.*field.count);
  for (const auto& field : kEngineFields) visit(std::string(field.name), counters.engine.*field.count);
  for (std::size_t i = 0; i < kActionCount; ++i) {
    visit(absl::StrCat("action ", std::string(name_of(static_cast<Action>(i)))), counters.engine.actions[i]);
  }
  for (std::size_t i = 0; i < kReasonCount; ++i) {
    visit(absl::StrCat("reason ", std::string(name_of(static_cast<Reason>(i)))), counters.engine.reasons[i]);
  }
}

Json to_json(const Estate& estate) {
  Json workers = Json::array();
  for (const WorkerCounters& worker : estate.workers) {
    Json counters = Json::object();
    for_each_counter(worker, [&](const std::string& name, std::uint64_t count) {
      if (count != 0) counters[name] = count;
    });
    workers.push_back(std::move(counters));
  }
  Json signs = Json::array();
  for (const Estate::Signs& one : estate.signs) {
    const auto& [to, from] = std::pair(one.signs.to_backend, one.signs.from_backend);
    signs.push_back({one.vip, one.service, one.backend, one.signs.opened, one.signs.refused, one.signs.unanswered,
                     to.packets, to.bytes, from.packets, from.bytes});
  }
  return {{"started", estate.started.time_since_epoch().count()},
          {"generation", estate.generation},
          {"standby", estate.standby},
          {"kernel_protocol", estate.kernel_protocol},
          {"keeper", static_cast<bool>(estate.keeper)},
          {"workers", std::move(workers)},
          {"signs", std::move(signs)}};
}

/// Throws what nlohmann::json does.
void from_json(const Json& json, Estate& estate) {
  estate.started = Time(Duration(json.at("started").get<Duration::rep>()));
  json.at("generation").get_to(estate.generation);
  json.at("standby").get_to(estate.standby);
  json.at("kernel_protocol").get_to(estate.kernel_protocol);
  for (const Json& counters : json.at("workers")) {
    WorkerCounters& worker = estate.workers.emplace_back();
    for_each_counter(worker, [&](const std::string& name, std::uint64_t& count) { count = counters.value(name, 0UL); });
  }
  for (const Json& one : json.at("signs")) {
    estate.signs.push_back({.vip = one.at(0),
                            .service = one.at(1),
                            .backend = one.at(2),
                            .signs = {.opened = one.at(3), .flows = 0, .refused = one.at(4), .unanswered = one.at(5)}});
    if (one.size() < 10) continue;  // of a version that did not count these
    estate.signs.back().signs.to_backend = {.packets = one.at(6), .bytes = one.at(7)};
    estate.signs.back().signs.from_backend = {.packets = one.at(8), .bytes = one.at(9)};
  }
}

template <typename Visit>
void for_each_backend(const Ruleset& ruleset, Visit&& visit) {
  std::uint16_t service = 0;  // they are counted through all VIPs
  for (const Vip& vip : rules_of(ruleset).vips) {
    for (const Service& one : vip.services) {
      for (std::uint16_t backend = 0; backend < one.backends.size(); ++backend) {
        visit(std::tuple(vip.address.to_string(), one.name, one.backends[backend].name), service, backend);
      }
      ++service;
    }
  }
}

}  // namespace

UniqueFd duplicate(const UniqueFd& descriptor) {
  return UniqueFd(descriptor ? ::fcntl(descriptor.get(), F_DUPFD_CLOEXEC, 0) : -1);
}

absl::Status send_estate(const UniqueFd& socket, const std::string& text, const Estate& estate) {
  const std::string json = to_json(estate).dump(-1, ' ', false, Json::error_handler_t::replace);
  const UniqueFd file(::memfd_create("vipgate-estate", MFD_CLOEXEC));
  if (!file || ::pwrite(file.get(), json.data(), json.size(), 0) != static_cast<ssize_t>(json.size())) {
    return absl::ErrnoToStatus(errno, "cannot write down what is to be handed over");
  }
  std::vector<int> descriptors{
      file.get(),         estate.device_lock.get(), estate.protocol_lock.get(), estate.folder_lock.get(),
      estate.flows.get(), estate.listener.get()};
  if (estate.keeper) descriptors.push_back(estate.keeper.get());
  for (const UniqueFd& queue : estate.queues) descriptors.push_back(queue.get());
  return send_message(socket, text, descriptors);
}

absl::StatusOr<Estate> read_estate(std::vector<UniqueFd> descriptors) {
  const absl::Status broken = absl::InvalidArgumentError("what the running gateway handed over cannot be read");
  if (descriptors.empty()) return broken;
  std::string text;
  std::array<char, 65536> part;  // NOLINT: pread() fills it
  ssize_t size = 0;
  while (text.size() < kMaxBytes &&
         (size = ::pread(descriptors[0].get(), part.data(), part.size(), static_cast<off_t>(text.size()))) > 0) {
    text.append(part.data(), static_cast<std::size_t>(size));
  }
  Estate estate;
  bool keeper = false;
  try {
    const Json json = Json::parse(text);
    from_json(json, estate);
    keeper = json.at("keeper").get<bool>();
  } catch (const Json::exception&) {
    return broken;
  }
  std::size_t next = 1;
  std::vector<UniqueFd*> places{&estate.device_lock, &estate.protocol_lock, &estate.folder_lock, &estate.flows,
                                &estate.listener};
  if (keeper) places.push_back(&estate.keeper);
  if (descriptors.size() <= places.size() + 1) return broken;
  for (UniqueFd* place : places) *place = std::move(descriptors[next++]);
  while (next < descriptors.size()) estate.queues.push_back(std::move(descriptors[next++]));
  return estate;
}

std::vector<Estate::Signs> signs_of(const Ruleset& ruleset) {
  std::vector<Estate::Signs> all;
  for_each_backend(ruleset, [&](const auto& names, std::uint16_t service, std::uint16_t backend) {
    const auto& [vip, service_name, backend_name] = names;
    all.push_back({vip, service_name, backend_name, signs_of(ruleset, service, backend)});
  });
  return all;
}

void continue_signs(const Ruleset& ruleset, const std::vector<Estate::Signs>& earlier) {
  std::map<std::tuple<std::string, std::string, std::string>, BackendSigns> by_name;
  for (const Estate::Signs& one : earlier) by_name[{one.vip, one.service, one.backend}] = one.signs;
  for_each_backend(ruleset, [&](const auto& names, std::uint16_t service, std::uint16_t backend) {
    if (const auto found = by_name.find(names); found != by_name.end()) {
      continue_signs(ruleset, service, backend, found->second);
    }
  });
}

}  // namespace vipgate
