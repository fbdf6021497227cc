#include "control/metrics.h"

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "vipgate/backend_signs.h"

namespace vipgate::control {
namespace {

/// {a="b",c="d"}. Of what has no control characters, as names have none, the format's strings are those of JSON.
std::string labels(std::initializer_list<std::pair<std::string_view, std::string>> pairs) {
  using Json = nlohmann::json;
  std::string text;
  for (const auto& [name, value] : pairs) {
    absl::StrAppend(&text, text.empty() ? "{" : ",", std::string(name), "=",
                    Json(value).dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  return text.empty() ? text : text + "}";
}

/// The text, metric by metric: all samples of one stand together.
class Exposition {
 public:
  void begin(std::string_view name, std::string_view type, std::string_view help) {
    name_ = absl::StrCat("vipgate_", std::string(name));
    absl::StrAppend(&text_, "# HELP ", name_, " ", std::string(help), "\n# TYPE ", name_, " ", std::string(type), "\n");
  }
  void add(const std::string& of, std::uint64_t value) { absl::StrAppend(&text_, name_, of, " ", value, "\n"); }
  void add_seconds(const std::string& of, double value) {
    absl::StrAppend(&text_, name_, of, " ", absl::StrFormat("%.10g", value), "\n");
  }

  void counter(std::string_view name, std::string_view help, std::uint64_t value) {
    begin(name, "counter", help);
    add("", value);
  }
  void gauge(std::string_view name, std::string_view help, std::uint64_t value) {
    begin(name, "gauge", help);
    add("", value);
  }

  std::string take() { return std::move(text_); }

 private:
  std::string name_;
  std::string text_;
};

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

void add_process(Exposition& out, const GatewayStatus& status) {
  out.begin("build_info", "gauge", "The program that runs; always 1.");
  out.add(labels({{"version", VIPGATE_VERSION}}), 1);
  out.begin("start_time_seconds", "gauge", "When it started, or the one whose place it took, in seconds since 1970.");
  out.add_seconds("", seconds(std::chrono::system_clock::now().time_since_epoch() - status.uptime));
  out.gauge("standby", "1 while another gateway is to have the VIPs and nothing is announced.", status.standby ? 1 : 0);
  out.gauge("ruleset_generation", "Grows with each change of the rules: reloads, backends that come and go.",
            status.generation);
  out.begin("reloads_total", "counter", "Reloads of the configuration.");
  out.add(labels({{"result", "accepted"}}), status.reloads_accepted);
  out.add(labels({{"result", "refused"}}), status.reloads_refused);
}

struct WorkerMetric {
  std::string_view name;
  std::string_view help;
  std::uint64_t WorkerCounters::*count;
};
constexpr WorkerMetric kWorkerMetrics[] = {
    {"read_packets_total", "Packets read from the TUN; a super-packet is one.", &WorkerCounters::packets_read},
    {"read_bytes_total", "Bytes of these, IP headers included.", &WorkerCounters::bytes_read},
    {"read_super_packets_total", "Packets read that stand for several segments.", &WorkerCounters::super_packets_read},
    {"written_packets_total", "Packets written to the TUN.", &WorkerCounters::packets_written},
    {"written_bytes_total", "Bytes of these, IP headers included.", &WorkerCounters::bytes_written},
    {"coalesced_packets_total", "Packets written as a part of another one.", &WorkerCounters::packets_coalesced},
    {"write_failures_total", "Packets that the TUN refused.", &WorkerCounters::write_failures},
    {"hand_off_lost_packets_total", "Packets lost on their way to the worker that owns their flow.",
     &WorkerCounters::hand_off_full},
};

void add_workers(Exposition& out, const GatewayStatus& status) {
  const auto each = [&](const auto& value_of) {
    for (std::size_t i = 0; i < status.workers.size(); ++i) {
      out.add(labels({{"worker", std::to_string(i)}}), value_of(status.workers[i]));
    }
  };
  out.begin("worker_stuck", "gauge", "1 while the worker does not answer.");
  each([](const WorkerReport& worker) { return std::uint64_t{worker.stuck}; });
  for (const WorkerMetric& metric : kWorkerMetrics) {
    out.begin(metric.name, "counter", metric.help);
    each([&](const WorkerReport& worker) { return worker.counters.*metric.count; });
  }
}

void add_flows(Exposition& out, const WorkerCounters& total, const GatewayStatus& status) {
  const Counters& engine = total.engine;
  out.gauge("flows", "Flows that are tracked.", total.flows);
  out.gauge("flows_max", "Flows that there is room for.", status.max_flows);
  out.counter("flows_opened_total", "Flows that began.", engine.flows_opened);
  out.begin("flows_ended_total", "counter", "Flows that ended, by why.");
  out.add(labels({{"why", "expired"}}), engine.flows_expired);
  out.add(labels({{"why", "evicted"}}), engine.flows_evicted);
  out.add(labels({{"why", "revoked"}}), engine.flows_revoked);
  out.add(labels({{"why", "operator"}}), engine.flows_ended);
  out.begin("verdicts_total", "counter", "Packets, by what became of them.");
  for (std::size_t i = 0; i < kActionCount; ++i) {
    out.add(labels({{"verdict", std::string(name_of(static_cast<Action>(i)))}}), engine.actions[i]);
  }
  out.begin("refused_packets_total", "counter", "Packets dropped or rejected, by reason.");
  for (std::size_t i = 1; i < kReasonCount; ++i) {
    out.add(labels({{"reason", std::string(name_of(static_cast<Reason>(i)))}}), engine.reasons[i]);
  }
}

void add_vips(Exposition& out, const GatewayStatus& status) {
  out.begin("vip_served", "gauge", "1 while a service of the VIP has a backend that takes flows.");
  for (const Vip& vip : rules_of(*status.ruleset).vips) {
    out.add(labels({{"vip", vip.address.to_string()}}), is_served(vip) ? 1 : 0);
  }
}

/// A backend of a service, with what is known of it.
struct Place {
  std::string labels;
  const Backend* backend;
  BackendSigns signs;
  const HealthReport* health;  ///< none: it is not checked
};

std::vector<Place> places(const GatewayStatus& status) {
  std::vector<Place> all;
  std::uint16_t service = 0;  // they are counted through all VIPs
  for (const Vip& vip : rules_of(*status.ruleset).vips) {
    for (const Service& one : vip.services) {
      for (std::uint16_t i = 0; i < one.backends.size(); ++i) {
        const Backend& backend = one.backends[i];
        const auto& health = status.health.at(service).at(i);
        all.push_back({labels({{"vip", vip.address.to_string()},
                               {"service", one.name},
                               {"backend", backend.name},
                               {"address", backend.address.to_string()}}),
                       &backend, signs_of(*status.ruleset, service, i), health ? &*health : nullptr});
      }
      ++service;
    }
  }
  return all;
}

void add_backends(Exposition& out, const GatewayStatus& status) {
  const std::vector<Place> all = places(status);
  const auto each = [&](std::string_view name, std::string_view type, std::string_view help, const auto& value_of) {
    out.begin(name, type, help);
    for (const Place& place : all) out.add(place.labels, value_of(place));
  };
  each("backend_up", "gauge", "1 unless its checks, or ICMP errors, say that it is down.",
       [](const Place& place) { return std::uint64_t{!place.backend->down}; });
  each("backend_drained", "gauge", "1 while it is to get no new flow.",
       [](const Place& place) { return std::uint64_t{place.backend->drained}; });
  each("backend_weight", "gauge", "Its share of new flows.",
       [](const Place& place) { return std::uint64_t{place.backend->weight}; });
  each("backend_flows", "gauge", "Flows that it has, closed ones left out.",
       [](const Place& place) { return place.signs.flows; });
  each("backend_flows_opened_total", "counter", "Flows that it was given.",
       [](const Place& place) { return place.signs.opened; });
  each("backend_refused_total", "counter", "RSTs that answered a SYN, and ICMP errors that say it cannot be reached.",
       [](const Place& place) { return place.signs.refused; });
  each("backend_unanswered_total", "counter", "SYNs that came again without an answer, and flows that ended so.",
       [](const Place& place) { return place.signs.unanswered; });

  const auto traffic = [&](std::string_view name, std::string_view help, std::uint64_t Traffic::*count) {
    out.begin(name, "counter", help);
    for (const Place& place : all) {
      const std::string rest = place.labels.substr(1);
      out.add("{direction=\"to_backend\"," + rest, place.signs.to_backend.*count);
      out.add("{direction=\"from_backend\"," + rest, place.signs.from_backend.*count);
    }
  };
  traffic("backend_packets_total", "Packets forwarded; a super-packet is one.", &Traffic::packets);
  traffic("backend_bytes_total", "Bytes of these, IP headers included.", &Traffic::bytes);

  const auto checked = [&](std::string_view name, std::string_view type, std::string_view help, const auto& add) {
    out.begin(name, type, help);
    for (const Place& place : all) {
      if (place.health != nullptr) add(place.labels, *place.health);
    }
  };
  checked("backend_checks_total", "counter", "Health checks that ended.",
          [&](const std::string& of, const HealthReport& health) { out.add(of, health.checks); });
  checked("backend_check_failures_total", "counter", "Health checks that failed.",
          [&](const std::string& of, const HealthReport& health) { out.add(of, health.failures); });
  checked("backend_check_latency_seconds", "gauge", "How long the last health check took.",
          [&](const std::string& of, const HealthReport& health) { out.add_seconds(of, seconds(health.latency)); });
}

}  // namespace

std::string metrics_text(const GatewayStatus& status) {
  WorkerCounters total;
  for (const WorkerReport& report : status.workers) total.add(report.counters);
  Exposition out;
  add_process(out, status);
  add_flows(out, total, status);
  add_workers(out, status);
  add_vips(out, status);
  add_backends(out, status);
  return out.take();
}

}  // namespace vipgate::control
