/* status.h: every way a call can end, and the detail that goes with a failure.
 *
 * STATUS_LIST is the only list of status codes. Functions return `enum status`; what a user needs to
 * know beyond the code goes into a `struct err` that the caller owns (usually on its stack). Nothing
 * here allocates. */
#ifndef LMR_BASE_STATUS_H
#define LMR_BASE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*  code, error type a policy sees (design: "Failure is a value"), worth a retry without a change */
#define STATUS_LIST(X)                                                                             \
    X(ST_OK, "ok", false)                                                                          \
    X(ST_END, "end", false)                       /* no more records, pairs, messages */           \
    X(ST_CRASH, "task_crash", true)               /* the worker died, or an I/O error other than a full disk */ \
    X(ST_NETWORK, "network_failure", true)        /* */                                            \
    X(ST_DISK_FULL, "disk_full", false)           /* ENOSPC, EDQUOT, EFBIG */                      \
    X(ST_MEMORY, "memory_error", false)           /* allocator cap or ENOMEM */                    \
    X(ST_TIMEOUT, "timeout", true)                /* no heartbeat, no progress, past a deadline */ \
    X(ST_CORRUPT, "data_corruption", false)       /* a checksum or frame that does not hold */     \
    X(ST_SCRIPT, "script_error", false)           /* the user's Lua raised an error */             \
    X(ST_BAD_RECORD, "bad_record", false)         /* a record that does not decode, mr.reject */   \
    X(ST_DECLARED, "declared", false)             /* mr.fail: the type is in err.type */           \
    X(ST_USAGE, "usage", false)                   /* wrong option, job or profile: exit code 2 */  \
    X(ST_INTERRUPTED, "interrupted", false)       /* by a signal, or a closed pipe of ours */

enum status {
#define X(code, type, transient) code,
    STATUS_LIST(X)
#undef X
    ST_COUNT
};

enum {
    ERR_TYPE_MAX = 48,
    ERR_MESSAGE_MAX = 1536,
    ERR_TRACEBACK_MAX = 4096,
    ERR_FILE_MAX = 1024,
    ERR_KEY_MAX = 256,
    ERR_DETAILS_MAX = 512
};

/* What went wrong, where. Fields that do not apply are empty (strings) or −1 (numbers). */
struct err {
    enum status status;
    int os_error; /* errno of the failed call, or 0 */
    char type[ERR_TYPE_MAX]; /* error type: the status' own, or the one mr.fail declared */
    char message[ERR_MESSAGE_MAX];
    char traceback[ERR_TRACEBACK_MAX];
    char file[ERR_FILE_MAX]; /* input, run or output file concerned */
    int64_t offset; /* byte offset of the record in that file (uncompressed), or −1 */
    int64_t record; /* number of the record in the attempt, from 0, or −1 */
    char key[ERR_KEY_MAX]; /* printed form of the reduce group's key, cut */
    double retry_after; /* seconds asked for by mr.fail or a server, or −1 */
    char details[ERR_DETAILS_MAX]; /* what err_detail added: lines "NAME\tVALUE\n" */
    int exit_status; /* of a worker that exited, or −1 */
    int signal;      /* that killed the worker, or 0 */
    double elapsed_seconds; /* of the attempt, or −1 */
    uint64_t memory_peak;   /* of its Lua state, bytes; 0: not known */
    bool simulated;         /* by failure_simulation */
};

/* Name of the error type of `status`: "task_crash", … Never NULL. */
const char *status_type(enum status status);
/* Status whose error type is `type`; ST_DECLARED when none is. */
enum status status_from_type(const char *type);
/* True when trying again without any change may help. */
bool status_is_transient(enum status status);

/* Makes `e` empty (ST_OK). Every struct err is cleared before its first use. */
void err_clear(struct err *e);
/* Fills `e` with a status and a formatted message, clearing the rest; returns `status`, so that a
 * function can end with `return err_set(e, …)`. `e` may be NULL. */
enum status err_set(struct err *e, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a failed system call: maps errno (ENOSPC, EDQUOT, EFBIG → ST_DISK_FULL, ENOMEM →
 * ST_MEMORY, else ST_CRASH), names the file, and says what the system said:
 * "cannot WHAT PATH: No space left on device". The detail `errno` is the number. */
enum status err_sys(struct err *e, int os_error, const char *what, const char *path);
/* ST_MEMORY with a message that names what the memory was for and how many bytes were asked. */
enum status err_memory(struct err *e, const char *what, size_t bytes);
/* Adds a position to an error already set. `file` may be NULL (left as it is). */
void err_at(struct err *e, const char *file, int64_t offset, int64_t record);

/* Adds a detail that a policy sees as err.details.NAME: a number when `format` gives one, else text
 * (tabs and line ends in it become spaces). A name that is there keeps its first value; what does
 * not fit is left out. */
void err_detail(struct err *e, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The detail as a number; `fallback` when it is not there or is none. */
double err_detail_number(const struct err *e, const char *name, double fallback);

/* An invariant that holds also in release builds: prints file, line and expression and aborts. */
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            check_failed(__FILE__, __LINE__, #cond);                                               \
    } while (0)
_Noreturn void check_failed(const char *file, int line, const char *expression);

#endif
