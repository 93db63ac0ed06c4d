/* replay_child.c: see replay.h: the child that runs an attempt, and its parent's wait. */
#include "base/log.h"
#include "base/sys.h"
#include "cli/replay.h"
#include "schedule/format.h"
#include "schedule/wire.h"
#include "script/attempt.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ANSWER_MAX = 64 << 20 };

struct replay_box {
    char dir[REPLAY_PATH_MAX];
    bool silent;
    struct position *page; /* shared with the child */
    sigset_t held, before; /* signals */
};

/* --- the box --- */

/* Signals that somebody ignores for us (nohup, a shell's background) stay ignored. */
static void hold_signals(struct replay_box *box)
{
    static const int stops[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
    struct sigaction now;
    (void)signal(SIGCHLD, SIG_DFL);
    (void)sigemptyset(&box->held);
    (void)sigaddset(&box->held, SIGCHLD);
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++)
        if (sigaction(stops[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            (void)sigaddset(&box->held, stops[i]);
    (void)sigprocmask(SIG_BLOCK, &box->held, &box->before);
}

static enum status make_dir(struct replay_box *box, struct err *e)
{
    const char *base = getenv("TMPDIR");
    base = base && *base ? base : "/tmp";
    (void)snprintf(box->dir, sizeof box->dir, "%s/lmr-replay-XXXXXX", base);
    if (mkdtemp(box->dir))
        return ST_OK;
    (void)err_sys(e, errno, "make a folder in", base);
    return e->status = ST_USAGE;
}

/* The folder's name holds wherever the child is. */
static enum status absolute_dir(struct replay_box *box, struct err *e)
{
    char *path = realpath(box->dir, NULL);
    if (!path || strlen(path) >= sizeof box->dir / 2) {
        free(path);
        return err_set(e, ST_USAGE, "the folder %s has too long a name; set TMPDIR to another",
                       box->dir);
    }
    (void)snprintf(box->dir, sizeof box->dir, "%s", path);
    free(path);
    return ST_OK;
}

enum status replay_open(bool silent, struct replay_box **out, struct err *e)
{
    struct replay_box *box = sys_calloc(1, sizeof *box);
    if (!box)
        return err_memory(e, "a replay", sizeof *box);
    void *page = mmap(NULL, sizeof *box->page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                      -1, 0);
    if (page == MAP_FAILED) {
        sys_free(box);
        return err_memory(e, "a page", sizeof *box->page);
    }
    box->page = page;
    box->silent = silent;
    hold_signals(box);
    enum status st = make_dir(box, e);
    if (st == ST_OK)
        st = absolute_dir(box, e);
    if (st != ST_OK) {
        replay_close(box);
        return st;
    }
    *out = box;
    return ST_OK;
}

const char *replay_dir(const struct replay_box *box)
{
    return box->dir;
}

void replay_close(struct replay_box *box)
{
    struct err e;
    if (!box)
        return;
    if (box->dir[0] && sys_remove_tree(box->dir, &e) != ST_OK)
        log_warning("%s", e.message);
    (void)munmap(box->page, sizeof *box->page);
    (void)sigprocmask(SIG_SETMASK, &box->before, NULL);
    sys_free(box);
}

/* --- the child --- */

static void answer_path(const struct replay_box *box, char path[REPLAY_PATH_MAX])
{
    (void)snprintf(path, REPLAY_PATH_MAX, "%.*s/answer", REPLAY_PATH_MAX / 2, box->dir);
}

static enum status put_answer(enum status st, struct slice result, struct err *err, struct buf *out)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct buf error = BUF_EMPTY;
    if (st == ST_OK) {
        val_map_value(&m, "result", result);
    } else {
        err->status = st;
        st = wire_put_err(err, &error);
        val_map_value(&m, "error", buf_slice(&error));
    }
    enum status end = val_map_end(&m, out);
    buf_free(&error);
    return st == ST_MEMORY ? st : end;
}

static enum status run_attempt(const struct replay_box *box, struct slice assignment,
                               struct buf *result, struct err *e)
{
    struct slice kind;
    if (val_get_string(assignment, "kind", &kind) && slice_equal(kind, slice_str("format")))
        return format_attempt(assignment, box->page, result, e);
    return script_attempt(assignment, box->page, NULL, result, e);
}

/* Runs the attempt, leaves the answer and is no more. No answer: it died of what it did. */
static _Noreturn void child(const struct replay_box *box, struct slice assignment, pid_t parent)
{
    struct buf result = BUF_EMPTY, answer = BUF_EMPTY;
    struct err err, e;
    char path[REPLAY_PATH_MAX];
    (void)sigprocmask(SIG_SETMASK, &box->before, NULL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(1);
    if (box->silent)
        (void)dup2(STDERR_FILENO, STDOUT_FILENO);
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* what was printed before a crash shall be seen */
    err_clear(&err);
    enum status st = run_attempt(box, assignment, &result, &err);
    (void)fflush(NULL);
    answer_path(box, path);
    if (put_answer(st, buf_slice(&result), &err, &answer) == ST_OK &&
        sys_write_file(path, buf_slice(&answer), false, "replay.answer", &e) != ST_OK)
        log_err(&e);
    _exit(0);
}

/* --- the parent --- */

/* Waits for the child; a stop signal ends it. Returns what waitpid says. Ctrl-C reaches the child
 * too, which may be gone before we look: so what waits then is taken as well. */
static int wait_for(const struct replay_box *box, pid_t pid, int *stopped)
{
    static const struct timespec now = { 0, 0 };
    int status = 0, signal_number;
    *stopped = 0;
    for (;;) {
        pid_t ended = waitpid(pid, &status, WNOHANG);
        if (ended == pid || (ended < 0 && errno != EINTR))
            break;
        signal_number = sigwaitinfo(&box->held, NULL);
        if (signal_number <= 0 || signal_number == SIGCHLD)
            continue;
        *stopped = signal_number;
        (void)kill(pid, SIGKILL); /* user code that ignores a signal shall not keep us */
    }
    while ((signal_number = sigtimedwait(&box->held, NULL, &now)) > 0)
        if (signal_number != SIGCHLD)
            *stopped = signal_number;
    return status;
}

static const char *phase_text(uint32_t phase)
{
    static const char *const texts[] = {
        [POS_IDLE] = "at its end",     [POS_LOAD] = "loading the job",
        [POS_INIT] = "in init",        [POS_MAP] = "in map",
        [POS_COMBINE] = "combining",   [POS_SPILL] = "writing a spill",
        [POS_REDUCE] = "in reduce",    [POS_FINISH] = "in finish",
        [POS_WRITE] = "writing its output",
    };
    return phase < sizeof texts / sizeof *texts ? texts[phase] : "in an unknown phase";
}

/* Where the page says it was. */
static void place_by_page(struct slice assignment, const struct position *page, struct err *e)
{
    uint32_t phase = POSITION_GET(page, phase);
    struct slice parts, part, path;
    struct val_cursor c;
    if (phase == POS_REDUCE)
        (void)snprintf(e->key, sizeof e->key, "%.*s", (int)strnlen(page->key, POSITION_KEY_MAX),
                       page->key);
    if (phase == POS_REDUCE || phase == POS_MAP)
        e->record = (int64_t)POSITION_GET(page, record);
    if (phase != POS_MAP || !val_get(assignment, "parts", &parts))
        return;
    e->offset = (int64_t)POSITION_GET(page, offset);
    uint64_t n = val_array(parts, &c), at = POSITION_GET(page, part);
    for (uint64_t i = 0; i < n && val_skip(&c, &part) == ST_OK; i++)
        if (i == at && val_get_string(part, "path", &path))
            (void)snprintf(e->file, sizeof e->file, "%.*s", (int)path.n, (const char *)path.p);
}

static void tell_death(const struct replay_box *box, struct slice assignment, int status,
                       struct replay_end *end)
{
    const char *phase = phase_text(POSITION_GET(box->page, phase));
    if (WIFSIGNALED(status))
        (void)err_set(&end->err, ST_CRASH, "the process was killed by signal %d (%s) (it was %s)",
                      WTERMSIG(status), strsignal(WTERMSIG(status)), phase);
    else
        (void)err_set(&end->err, ST_CRASH,
                      "the process ended with exit status %d in the middle of its work (it was %s; "
                      "does the job call os.exit?)",
                      WEXITSTATUS(status), phase);
    end->died = true;
    end->err.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    end->err.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    place_by_page(assignment, box->page, &end->err);
}

/* False: it left no answer that holds. */
static bool read_answer(const struct replay_box *box, struct replay_end *end)
{
    char path[REPLAY_PATH_MAX];
    struct buf answer = BUF_EMPTY;
    struct slice value;
    struct err e;
    answer_path(box, path);
    bool good = sys_read_file(path, ANSWER_MAX, &answer, &e) == ST_OK &&
                val_check(buf_slice(&answer)) == ST_OK;
    if (good && val_get(buf_slice(&answer), "error", &value))
        wire_get_err(value, &end->err);
    else
        good = good && val_get(buf_slice(&answer), "result", &value) &&
               buf_append_slice(&end->result, value) == ST_OK;
    buf_free(&answer);
    return good;
}

static void reset(struct replay_box *box, struct replay_end *end)
{
    char path[REPLAY_PATH_MAX];
    answer_path(box, path);
    (void)sys_unlink(path, NULL);
    (void)snprintf(path, sizeof path, "%.*s/aside", REPLAY_PATH_MAX / 2, box->dir);
    (void)sys_unlink(path, NULL);
    memset(box->page, 0, sizeof *box->page);
    POSITION_SET(box->page, phase, POS_LOAD);
    end->stopped = 0;
    end->died = false;
    end->result.n = 0;
    err_clear(&end->err);
}

enum status replay_run(struct replay_box *box, struct slice assignment, struct replay_end *end,
                       struct err *e)
{
    reset(box, end);
    (void)fflush(NULL); /* what waits in a buffer of stdio would be printed twice */
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        return err_sys(e, errno, "start a process", "for the attempt");
    if (pid == 0)
        child(box, assignment, parent);
    int status = wait_for(box, pid, &end->stopped);
    if (end->stopped)
        place_by_page(assignment, box->page, &end->err);
    else if (!read_answer(box, end))
        tell_death(box, assignment, status, end);
    return ST_OK;
}
