/* profile.h: what the `lmr profile` commands ask of Lua: profiles loaded here and now, and told.
 *
 * QUERY: an encoded map { command = "list" | "show" | "check" | "diff" | "explain", words = [ profile names or paths ],
 *   set = [ "key=value" ], job = path of a job file | absent, type = an error type | absent, json = bool }
 * ANSWER: { text = what to print, in lines, warnings = [ text ] }. The text holds bytes of profiles: it is not safe for a terminal. */
#ifndef LMR_SCRIPT_PROFILE_H
#define LMR_SCRIPT_PROFILE_H

#include "data/codec.h"

enum { PROFILE_SECONDS = 3 };

/* Answers (appended). The code of profiles has PROFILE_SECONDS and the memory of call_profile, a job file PROFILE_SECONDS and 512 MB; code
 * that does not come back from C is the caller's to end. ST_USAGE: a profile, job or option is wrong (file:line in the message).
 * ST_TIMEOUT, ST_MEMORY: a limit. */
enum status script_profile(struct slice query, struct buf *answer, struct err *e);

#endif
