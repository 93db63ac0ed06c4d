/* which_job.h: the job that a word on the command line means.
 *
 * A job is a folder with a journal in the state folder (schedule/place.h). Nothing is written. */
#ifndef LMR_CLI_WHICH_JOB_H
#define LMR_CLI_WHICH_JOB_H

#include "base/status.h"

/* Puts the absolute path of the job's folder into `job_dir` (room for `cap` bytes); what follows
 * its last slash is the id. `name` is an id ("word_count-3"), a job's name ("word_count": the
 * latest of them), the beginning of ids that all belong to one job name (likewise the latest), or
 * NULL: the latest of all. The latest is the one whose journal was written last, so a job that runs
 * or was resumed is later than one that ended before. `state_dir_option` is --state-dir, or NULL.
 * ST_USAGE: there is none, or the beginning fits jobs of several names; the message says which
 * there are. ST_CORRUPT: there is a folder of that name, without a journal. */
enum status which_job(const char *state_dir_option, const char *name_or_null, char *job_dir,
                      size_t cap, struct err *e);

/* The latest that is neither complete nor partial. ST_USAGE: there is none. */
enum status which_open_job(const char *state_dir_option, char *job_dir, size_t cap, struct err *e);
/* The same for what removes: `name` is an id, or the beginning of exactly one. ST_USAGE: none or several
 * begin so. */
enum status which_one_job(const char *state_dir_option, const char *name, char *job_dir, size_t cap,
                          struct err *e);

#endif
