#pragma once

/* Also in the rockspec's name and in CHANGELOG.md. */
#define SEER_VERSION "0.1.0"
