/* failpoint.h: places where a process may be killed, to prove that nothing is lost by it.
 *
 * Before and after each durable step stands a failpoint with the name of its site (host/base/README.md
 * lists them). They are in every build, and cost one predictable branch each while nobody asks for them:
 *
 *    LMR_FAILPOINT=PROCESS:N[:MARK]   process PROCESS (driver, worker, policy, or the name of a command)
 *                                     kills itself with SIGKILL as it comes to its Nth failpoint, from 1;
 *                                     with MARK only where it can create the file MARK, so one time only
 *    LMR_FAILPOINT_LOG=FILE           appends a line "PROCESS N SITE" for each failpoint passed
 *
 * The environment is read once, as the process starts. While neither is set nothing else here is ever
 * called. Any thread may pass a failpoint; they share the count. */
#ifndef LMR_BASE_FAILPOINT_H
#define LMR_BASE_FAILPOINT_H

#include "base/status.h"

/* Set by failpoint_start and by nobody else, before there is a second thread. */
extern bool failpoint_armed;

/* Reads the environment, for a process of that name (a constant). ST_USAGE: what it says is no failpoint. */
enum status failpoint_start(const char *process, struct err *e);

/* What follows the branch: logs, counts, and does not return where the process is to die. */
void failpoint_hit(const char *site, const char *when);

/* The failpoint SITE + WHEN (":before", ".fsync:after"); none where `site` is NULL. */
static inline void failpoint_at(const char *site, const char *when)
{
    if (__builtin_expect(failpoint_armed, false) && site)
        failpoint_hit(site, when);
}

/* The failpoint of that whole name. */
static inline void failpoint(const char *site)
{
    failpoint_at(site, "");
}

#endif
