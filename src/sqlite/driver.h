#pragma once

/*
 * The driver of seerstack.sqlite, as core/store.h describes it. Its
 * configuration is a seer_files_config.
 */

#include "core/store.h"

#define SEER_DRIVER_LEAST 8388608 /* of max_bytes */

extern const seer_store_driver seer_driver;
