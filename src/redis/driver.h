#pragma once

/*
 * The driver of seerstack.redis, as core/store.h describes it. Its
 * configuration is a seer_config.
 */

#include "core/store.h"

extern const seer_store_driver seer_driver;
