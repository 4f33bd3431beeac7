#ifndef SEER_DRIVER_H
#define SEER_DRIVER_H

/*
 * The driver of seerstack.sqlite, as core/store.h describes it. Its
 * configuration is a seer_files_config.
 */

#include "core/store.h"

#pragma GCC visibility push(hidden)

#define SEER_DRIVER_LEAST 8388608 /* of max_bytes */

extern const seer_store_driver seer_driver;

#pragma GCC visibility pop

#endif
