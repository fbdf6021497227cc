#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/status.h"

namespace vipgate::test {

/// Answers as it is told, and remembers what it was asked.
class FakeGateway final : public GatewayControl {
 public:
  FakeGateway() {
    Backend backend;
    backend.name = "a\xff";  // no UTF-8
    backend.address = *Ipv4Address::parse("10.0.0.2");
    backend.port = 8080;
    Service service;
    service.name = "web";
    service.protocols = {Protocol::tcp, Protocol::udp};
    service.ports = {{80, 80}, {8000, 8099}};
    service.backends = {backend};
    Rules rules;
    rules.vips = {{.address = *Ipv4Address::parse("203.0.113.10"), .interface = {}, .services = {service}}};
    status_.ruleset = compile(std::move(rules), 3);
    HealthReport health;
    health.state = Health::down;
    health.since = Time{std::chrono::seconds(60)};
    health.last = CheckResult{CheckVerdict::failed, "connection refused"};
    health.latency = std::chrono::milliseconds(2);
    health.checks = 9;
    health.failures = 3;
    status_.health = {{health}};
    status_.now = Time{std::chrono::seconds(72)};
    status_.generation = 3;
    status_.max_flows = 1024;
    status_.workers.resize(2);
    for (auto& report : status_.workers) {
      report.counters.packets_read = 21;
      report.counters.flows = 2;
      report.counters.engine.reasons[static_cast<std::size_t>(Reason::no_service)] = 5;
    }
    status_.workers[1].stuck = true;
  }

  void status(std::function<void(const GatewayStatus&)> done) override {
    if (!holds_answers_) return done(status_);
    held_answers_.push_back(std::move(done));
    ++held_;
  }
  void answer_held() {
    holds_answers_ = false;
    for (const auto& done : std::exchange(held_answers_, {})) done(status_);
  }
  ReloadResult reload() override {
    ++reloads_;
    return reload_result_;
  }

  absl::StatusOr<std::vector<std::string>> drain(const std::string& backend) override { return change("-", backend); }
  absl::StatusOr<std::vector<std::string>> undrain(const std::string& backend) override { return change("+", backend); }

  void flows(FlowQuery query, std::function<void(absl::StatusOr<FlowPage>)> done) override {
    query_ = std::move(query);
    done(flows_result_);
  }
  absl::StatusOr<std::vector<std::string>> set_weight(const std::string& backend,
                                                      std::optional<std::uint32_t> weight) override {
    return change(weight ? std::to_string(*weight) + "*" : "1*", backend);
  }
  void end_flows(FlowFilter filter, FlowPosition from, std::function<void(absl::StatusOr<EndedFlows>)> done) override {
    query_ = {.filter = std::move(filter), .from = from};
    done(ended_result_);
  }
  void explain(std::vector<std::uint8_t> packet, std::function<void(absl::StatusOr<Explanation>)> done) override {
    packet_ = std::move(packet);
    done(explanation_result_);
  }

  absl::StatusOr<std::shared_ptr<ByteSource>> capture(CaptureQuery query) override {
    capture_ = std::move(query);
    return capture_result_;
  }

  absl::Status set_standby(bool standby) override {
    if (standby_result_.ok()) status_.standby = standby;
    return standby_result_;
  }

  absl::StatusOr<std::vector<std::string>> change(const std::string& how, const std::string& backend) {
    changes_.push_back(how + backend);
    return change_result_;
  }

  absl::StatusOr<std::vector<std::string>> change_result_ = std::vector<std::string>{"web/a"};
  std::vector<std::string> changes_;
  FlowQuery query_;
  absl::StatusOr<FlowPage> flows_result_;
  absl::StatusOr<EndedFlows> ended_result_ = EndedFlows{.flows = 7, .next = {}};
  std::vector<std::uint8_t> packet_;
  absl::StatusOr<Explanation> explanation_result_ = Explanation();
  CaptureQuery capture_;
  absl::StatusOr<std::shared_ptr<ByteSource>> capture_result_ = nullptr;
  absl::Status standby_result_;
  GatewayStatus status_;
  ReloadResult reload_result_{true, {"web: port changed"}};
  int reloads_ = 0;
  bool holds_answers_ = false;
  std::vector<std::function<void(const GatewayStatus&)>> held_answers_;
  std::atomic<std::size_t> held_ = 0;
};

}  // namespace vipgate::test
