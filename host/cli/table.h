/* table.h: the tables of commands and options, and what a parsed command line is.
 *
 * The tables are the only place where an option is named: options.c parses by them, help.c,
 * manual.c and completion.c print them. All of it is static and lives as long as the program. */
#ifndef LMR_CLI_TABLE_H
#define LMR_CLI_TABLE_H

#include "base/bytes.h"
#include "schedule/job.h"

/* What a command is asked to do. Strings are those of argv; the arrays are owned
 * (request_free). */
struct request {
    const char **words;  /* what is no option, in order */
    size_t word_count;
    const char **set;    /* values of --set: run.set points here */
    const char **accept; /* values of --accept-change: run.accept points here */
    char *const *rest;   /* what stood after "--",
        or after the first word of a command that passes all on */
    size_t rest_count;
    struct run_options run;
    const char *task; /* of lmr quarantine, with `full` */
    bool full;
    bool help, quiet, json, man, list;
    const char *completion, *template_name;
    const char *job_file, *error_type; /* of lmr profile; job_file of lmr replay too */
    int64_t record; /* of lmr replay, with the next two */
    bool has_record, put_aside;
    const char *older_than; /* of lmr clean, with `all` */
    bool all;
};

enum option_kind {
    OPTION_FLAG,     /* bool */
    OPTION_TEXT,     /* const char *, not empty */
    OPTION_CHOICE,   /* const char *, one of `choices` */
    OPTION_UNSIGNED, /* unsigned */
    OPTION_INT64,    /* int64_t, not negative */
    OPTION_UINT64,   /* uint64_t */
    OPTION_SIZE,     /* uint64_t, with K, M, G or T */
    OPTION_SETTING,  /* KEY=VALUE, may be given many times */
    OPTION_STAGE     /* a stage of a job: "map", "2:reduce"; may be given many times */
};

struct option {
    const char *name; /* without "--"; NULL ends a table */
    char letter;      /* short form, or 0 */
    enum option_kind kind;
    const char *value;    /* what its value is called in help; NULL for a flag */
    const char *help;     /* one sentence or two, without a point at the end */
    size_t field;         /* offset in struct request of what it sets */
    size_t given;         /* offset of a bool set to true when the option was given; 0: none */
    uint64_t least, most; /* of numbers and sizes */
    const char *reason;   /* why these limits */
    const char *example;  /* a good value */
    const char *const *choices; /* ended by NULL */
};

enum { USAGE_LINES_MAX = 8 };

struct command {
    const char *name; /* NULL ends the table */
    const char *usage[USAGE_LINES_MAX]; /* what follows "lmr NAME" */
    const char *summary;  /* half a line */
    const char *text;     /* help text, see topics.h for its form */
    bool hidden;          /* not shown; takes no options (`lmr worker`, `lmr policy`) */
    bool passes_all_on;   /* what follows its first word is `rest`, options too */
    const struct option *options;
    int (*run)(struct request *request);
};

/* The command table. */
const struct command *commands(void);
/* A command by its name, hidden ones too; NULL when there is none. */
const struct command *command_find(const char *name);
/* Names of the commands that are shown, ended by NULL; room for COMMANDS_MAX. Returns `out`. */
enum { COMMANDS_MAX = 32 };
const char *const *command_names(const char *out[COMMANDS_MAX]);

/* The commands themselves, one file each. Each returns the exit code, having printed its errors. */
int command_jobs(struct request *request);
int command_show(struct request *request);
int command_why(struct request *request);
int command_quarantine(struct request *request);
int command_checkpoints(struct request *request);
int command_checkpoint(struct request *request);
int command_stop(struct request *request);
int command_verify(struct request *request);
int command_rm(struct request *request);
int command_clean(struct request *request);
int command_replay(struct request *request);
int command_run(struct request *request);
int command_resume(struct request *request);
int command_new(struct request *request);
int command_lua(struct request *request);
int command_profile(struct request *request);
int command_help(struct request *request);
int command_version(struct request *request);

/* Runs what request->run says and shows it, for run and resume. Returns the exit code. */
int run_request(struct request *request);

#endif
