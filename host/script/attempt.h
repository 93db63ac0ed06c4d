/* attempt.h: the script room's door for a worker: one assignment in, one result out.
 *
 * script_attempt makes a FRESH Lua state, loads the job, does the work and closes the state. Everything the user's code does (errors, memory
 * over the cap, endless loops past the deadline) comes back as a status with a filled `struct err`; only death of the
 * process or a hang in C escapes, and the driver deals with those. It never prints.
 *
 * ASSIGNMENT: an encoded map (data/codec.h). Strings that are paths or keys are raw bytes. Common fields:
 *   kind        "describe" | "remote" | "side" | "sample" | "map" | "reduce" | "stop"
 *   task        "map_0" (printed in messages; with step and round "2.7:map_0")      attempt  0, 1, …
 *   serial      integer: stored in the page       step 1…      round 0 (no iteration) or 1…
 *   job         path of the job file (absent for a one-liner)
 *   one_liner   { map = code, reduce = code or reducer name | absent } (absent for a file)
 *   args        array of strings: what stood after `--`
 *   seed        the job's seed; math.random is seeded from it and the task id (text), never from the attempt
 *   memory_limit  bytes for the Lua allocator; 0: none
 *   deadline    seconds for the whole attempt, 0: none (arms the hook)
 *   durable     fsync what is written
 *   network_timeout  seconds that a server may send nothing (30, and never more than half of limits.progress_timeout_seconds)
 *   sides       { name = path of index file }           previous   absent, or { round =, counters = { group = { name = n } } }
 * describe: + profile (name or path, absent: "production"), profile_text is looked up by the script room (compiled-in or file), set = array of "key=value" strings
 *   RESULT: the description, see below.
 * remote: files = [ { url = as shown (data/url.h), secret = "user:password" | absent } ]
 *   RESULT { files = [ { url, size = bytes (−1: not known), ranges = bool, validator = text | absent,
 *   coding = how it is compressed on its way, though nobody asked | absent } ] }, in that order  (no Lua is run)
 * side: name, parts, inputs, key, index (path to write), pairs = bool     RESULT { records = n, bytes = n }  (no Lua is run)
 * map: parts = [ { path, from, to, size, input, whole = true | absent, secret = … | absent, validator = … | absent } ] (struct split_part); pairs = true when they are pair runs of an earlier step or round;
 *   inputs = [ { input = spec, tag = text|absent } ] (index: part.input)
 *   partitions, sort_buffer, group_by, compress (of runs), boundaries = [ encoded keys ]|absent, run = path of the run file to write
 *   partitions = 0: no run; part = path of the part file, output = spec (as for reduce)
 *   checkpoint = { interval = seconds between two, path = of the file to write (ATTEMPT.ckpt), key = bytes, from = path of the one that an
 *   earlier attempt has left | absent } | absent: script/checkpoint.h. Only one with an equal key is gone on from.
 *   side_prefix = path prefix for mr.output files ("…/map_0.0-" → "…/map_0.0-NAME")
 * reduce: runs = [ paths ] in map-task order, partition, group_by, fan_in, temporary = path prefix; part = path of part file, output = spec; side_prefix
 * map and reduce also have, when records (in reduce: groups) may be put aside:
 *   put_aside   { TYPE = "quarantine" | "ask" }: what becomes of a record whose map (a group whose reduce) ends with an error of that type, the attempt
 *               being alive: it is put aside at once, or the driver is asked (struct attempt_host); a type that is absent is as "*" says, else
 *               it fails the attempt
 *   put_aside_max   how many this attempt may put aside; −1: no limit. One more fails the attempt with that one's error
 *   skip        [ { record = n, error = {…} } ], ascending: records (groups), numbered in the attempt from 0, that earlier attempts died of: map is not
 *               called on them, they are put aside with that error (an err as schedule/wire.h encodes it)
 *   quarantine  path of the file they go to (script/quarantine.h), made only when there is one
 * and, to try again (lmr replay) what failed before:
 *   only        [ numbers ], ascending: the other records (groups) are read, but map (reduce) is not called on them, whatever is wrong with
 *               them; nor is finish. `skip` is not looked at. RESULT + shown (script/only.h)
 * sample: parts, inputs, pairs as for map (all splits' parts, in order), partitions, group_by, sample_records = n; skip as for map, numbered
 *         among the records looked at; what is in it is only passed over
 *   RESULT { boundaries = [ encoded group keys ] }  partitions − 1 of them (fewer distinct keys than that: repeated ones are left out, and the list is shorter: the driver
 *   then lowers the partitions of the step to boundaries + 1)
 * stop: round, counters (of the round that ended), previous = counters of the one before | absent   RESULT { stop = bool }
 *
 * map and reduce RESULT: { counters = { group = { name = n } }, records_in, bytes_in, pairs_out (staged or written), bytes_out, spills, segments,
 *   run = { bytes, checksum, pairs } | part = { records, bytes, raw_bytes, checksum }, groups (reduce),
 *   side_outputs = [ { name, path, records, bytes, checksum } ], cpu_ns, script_memory_peak, warnings = [ text ] }
 *   quarantine = { records, bytes, checksum, types = { TYPE = n }, example = { type, message, file, offset, record, key } } when something was put aside. records_in counts these records too.
 *   checksums are 16-digit hex strings.
 *
 * DESCRIPTION (made by scripts/job.lua from what the job file returned, validated there, unknown keys refused with a suggestion):
 *   { job_name, job_dir,
 *     inputs = [ { path, input = spec|absent, tag|absent, has_map = bool } ],       -- input_files of the job; may be empty
 *     default_input = spec | absent,                        -- job.input: for inputs named on the command line, and entries without their own
 *     output = spec | absent,
 *     steps = [ { has_map, combine = declaration | "lua" | absent, reduce = declaration | "lua" | absent (identity), reducers | absent, has_partition,
 *                 group_by (0), total_order = bool, iterate = { max_rounds, has_stop_when, reread = bool } | absent } ],
 *     side_files = [ { name, path, input = spec, key | absent } ],
 *     error_types = [ … ], split_size | absent, sort_buffer | absent, seed | absent, args = {…effective mr.args values…},
 *     profile = { effective profile as plain data, see scripts/profile.lua }, warnings = [ text ],
 *     fingerprints = [ … ] one a step, see script/fingerprint.h }
 *   A declaration of "lua" cannot collide: declared reducers have other names.
 */
#ifndef LMR_SCRIPT_ATTEMPT_H
#define LMR_SCRIPT_ATTEMPT_H

#include "base/position.h"
#include "data/codec.h"

/* What an attempt asks of whoever runs it. */
struct attempt_host {
    /* Whether the record (group) that `e` is about is put aside; `e` has its place, the attempt's time and memory. May take its time. NULL: no. */
    bool (*put_aside)(void *context, const struct err *e);
    void *context;
};

/* Runs one assignment. `result` gets the encoded result (appended) when ST_OK is returned. ST_USAGE: the job, profile or arguments are wrong
 * (message with file:line). Otherwise an error type; elapsed_seconds and memory_peak are filled. The page is the worker's own (never NULL);
 * `host` may be NULL: no to every question. */
enum status script_attempt(struct slice assignment, struct position *page, const struct attempt_host *host, struct buf *result,
                           struct err *e);

/* Called from the worker's other thread when the driver asks for an end or a deadline passed: arms the hook of
 * the running attempt so that it ends with `status` at the next Lua instruction. Safe at any time. */
void script_interrupt(enum status status);

/* Runs a Lua file with `mr` at hand (`lmr lua FILE ARG…`): arg[0…] as lua has it, `require "mr"` works. Output goes where the script sends it. ST_SCRIPT/ST_USAGE with message and traceback. *exit_code gets os.exit-like result: 0. */
enum status script_run_file(const char *path, int argc, char *const *argv, struct err *e);

#endif
