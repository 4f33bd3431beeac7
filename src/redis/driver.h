#ifndef SEER_DRIVER_H
#define SEER_DRIVER_H

/*
 * The driver of seerstack.redis, as core/store.h describes it. Its
 * configuration is a seer_config.
 */

#include "core/store.h"

#pragma GCC visibility push(hidden)

extern const seer_store_driver seer_driver;

#pragma GCC visibility pop

#endif
