#pragma once

/*
 * The budget that several machines share, as one of them asks for its part.
 */

#include "connection.h"

/* Over a connection that is open. */
seer_store_result seer_budget_ask(seer_connection *connection,
                                  seer_budget *budget,
                                  seer_store_message message);
