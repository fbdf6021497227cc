#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/exit_code.h"

namespace vipgate {

inline constexpr const char* kDefaultConfigFile = "/etc/vipgate/vipgate.json";

struct RunCommand {
  std::string config_file = kDefaultConfigFile;
  std::optional<std::uint64_t> seed;
  bool standby = false;
  bool takeover = false;
};
ExitCode run(const RunCommand& command);

struct CleanCommand {
  std::string config_file = kDefaultConfigFile;
};
ExitCode clean(const CleanCommand& command);

struct CheckCommand {
  std::string config_file = kDefaultConfigFile;
  bool json = false;
};
ExitCode check(const CheckCommand& command);

struct DoctorCommand {
  std::string config_file = kDefaultConfigFile;
  bool json = false;
  bool quiet = false;  ///< findings alone
  bool probe = false;  ///< connects to the backends
};
ExitCode examine_host(const DoctorCommand& command);

struct ReplayCommand {
  std::string config_file = kDefaultConfigFile;
  std::string capture;
  std::string write;              ///< empty: nothing is written
  std::string other_config_file;  ///< set: only what it would have treated otherwise is shown
  bool json = false;
  std::uint64_t seed = 1;
};
ExitCode replay(const ReplayCommand& command);
ExitCode replay_diff(const ReplayCommand& command);

/// Which running gateway a command is for.
struct GatewayAddress {
  std::string config_file = kDefaultConfigFile;  ///< says which socket
  std::string socket;                            ///< empty: as the file says
};

struct StatusCommand {
  GatewayAddress gateway;
  bool json = false;
  bool quiet = false;  ///< only the exit code: whether all VIPs are served, here or if this gateway were active
};
ExitCode status(const StatusCommand& command);

struct ExplainCommand {
  GatewayAddress gateway;
  std::string packet;        ///< in words, as vipgate/inspect.h's compose() has them; empty: of the capture
  std::string capture;       ///< empty: none
  std::uint64_t number = 1;  ///< of the packet in the capture, from 1
  bool live = false;         ///< by the running gateway's flows and backends; else by the configuration alone
  bool json = false;
};
ExitCode explain(const ExplainCommand& command);

struct FlowsCommand {
  GatewayAddress gateway;
  std::vector<std::pair<std::string, std::string>> wanted;  ///< parameters of /v1/flows
  std::size_t limit = 0;                                    ///< most flows to show; 0: all
  bool end = false;                                         ///< ends them
  bool all = false;                                         ///< ends all of them
  bool json = false;
};
ExitCode flows(const FlowsCommand& command);
ExitCode end_flows(const FlowsCommand& command);

struct CaptureCommand {
  GatewayAddress gateway;
  std::string write;                                        ///< "-": the standard output; empty: a line a packet
  std::vector<std::pair<std::string, std::string>> wanted;  ///< parameters of /v1/capture
};
ExitCode capture(const CaptureCommand& command);

struct TopCommand {
  GatewayAddress gateway;
  double interval = 1;  ///< seconds
  bool once = false;    ///< one table, for scripts
  bool json = false;    ///< the same as JSON
};
ExitCode top(const TopCommand& command);

struct ReloadCommand {
  GatewayAddress gateway;
  bool json = false;
};
ExitCode reload(const ReloadCommand& command);

struct DrainCommand {
  GatewayAddress gateway;
  std::string backend;
  bool back = false;  ///< undrain
  bool wait = false;  ///< until the last flow has ended
  bool json = false;
};
ExitCode drain(const DrainCommand& command);

struct WeightCommand {
  GatewayAddress gateway;
  std::string backend;
  std::optional<std::uint32_t> weight;  ///< none: as configured
  bool json = false;
};
ExitCode set_weight(const WeightCommand& command);

struct StandbyCommand {
  GatewayAddress gateway;
  bool standby = true;  ///< or active
  bool json = false;
};
ExitCode set_standby(const StandbyCommand& command);

}  // namespace vipgate
