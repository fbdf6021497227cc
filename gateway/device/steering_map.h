// What the steering program (C, in the kernel) and who loads it (C++) share. Addresses and ports are in host byte
// order.
#ifndef VIPGATE_DEVICE_STEERING_MAP_H
#define VIPGATE_DEVICE_STEERING_MAP_H

#include <linux/types.h>

#define STEERING_ADDRESSES 65536  // at most; packets of others reach their worker by way of another one
#define STEERING_RANGES 4         // likewise

struct steering_ports {
  __u16 first;
  __u16 last;
};

// SteeringTable's keys.
struct steering_keys {
  __u64 first;
  __u64 second;
};

// SteeredAddress. Ranges that are not used contain no port: their first is above their last.
struct steering_role {
  __u32 is_vip;
  struct steering_ports allocates;
  struct steering_ports serves[STEERING_RANGES];
};

#endif
