#include "device/steering.h"

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "absl/strings/str_cat.h"
#include "device/steering_map.h"

// The compiled program, by the linker.
extern "C" const char _binary_steering_bpf_o_start[];
extern "C" const char _binary_steering_bpf_o_end[];

namespace vipgate {
namespace {

int say_nothing(libbpf_print_level, const char*, va_list) {
  return 0;
}

absl::Status error(int number, const char* what) {
  if (number != EPERM && number != EACCES) return absl::ErrnoToStatus(number, what);
  return absl::PermissionDeniedError(absl::StrCat(what, ": no right to. Remedy: CAP_BPF"));
}

constexpr steering_ports kNone{.first = 1, .last = 0};

/// One range for all of them; more than there is room for are taken as every port.
template <std::size_t kRoom>
void put(const std::vector<PortRange>& ranges, steering_ports (&room)[kRoom]) {
  std::fill(std::begin(room), std::end(room), kNone);
  if (ranges.size() > kRoom) {
    room[0] = {.first = 0, .last = 65535};
    return;
  }
  std::transform(ranges.begin(), ranges.end(), std::begin(room),
                 [](const PortRange& range) { return steering_ports{.first = range.first, .last = range.last}; });
}

steering_role role_of(const SteeredAddress& address) {
  steering_role role{};
  role.is_vip = address.is_vip ? 1 : 0;
  steering_ports allocates[1];
  put(address.allocates, allocates);
  role.allocates = allocates[0];
  put(address.serves, role.serves);
  return role;
}

}  // namespace

void Steering::Close::operator()(bpf_object* object) const {
  ::bpf_object__close(object);
}

absl::StatusOr<Steering> Steering::load() {
  ::libbpf_set_print(say_nothing);
  const auto size = static_cast<std::size_t>(_binary_steering_bpf_o_end - _binary_steering_bpf_o_start);
  Steering steering;
  steering.object_.reset(::bpf_object__open_mem(_binary_steering_bpf_o_start, size, nullptr));
  if (!steering.object_) return error(errno, "cannot read the steering program");
  if (::bpf_object__load(steering.object_.get()) != 0) return error(errno, "cannot load the steering program");
  steering.program_ = ::bpf_program__fd(::bpf_object__find_program_by_name(steering.object_.get(), "steer"));
  steering.keys_ = ::bpf_object__find_map_fd_by_name(steering.object_.get(), "keys");
  steering.roles_ = ::bpf_object__find_map_fd_by_name(steering.object_.get(), "roles");
  return steering;
}

absl::Status Steering::follow(const SteeringTable& table) {
  const std::uint32_t only = 0;
  const steering_keys keys{.first = table.first_key, .second = table.second_key};
  if (::bpf_map_update_elem(keys_, &only, &keys, BPF_ANY) != 0) return error(errno, "cannot set the steering keys");

  std::vector<SteeredAddress> wanted = table.addresses;
  if (wanted.size() > STEERING_ADDRESSES) wanted.resize(STEERING_ADDRESSES);
  // Both are sorted. What is gone is removed first, so that there is room for what is new.
  const auto by_address = [](const SteeredAddress& a, const SteeredAddress& b) { return a.address < b.address; };
  for (const SteeredAddress& old : present_) {
    if (std::binary_search(wanted.begin(), wanted.end(), old, by_address)) continue;
    const std::uint32_t address = old.address.value();
    if (::bpf_map_delete_elem(roles_, &address) != 0 && errno != ENOENT) return error(errno, "cannot steer anew");
  }
  for (const SteeredAddress& one : wanted) {
    const auto before = std::lower_bound(present_.begin(), present_.end(), one, by_address);
    if (before != present_.end() && *before == one) continue;
    const std::uint32_t address = one.address.value();
    const steering_role role = role_of(one);
    if (::bpf_map_update_elem(roles_, &address, &role, BPF_ANY) != 0) return error(errno, "cannot steer anew");
  }
  present_ = std::move(wanted);
  return absl::OkStatus();
}

}  // namespace vipgate
