#include "cli/progress.h"

#include "base/log.h"
#include "base/sys.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define NS_PER_MS INT64_C(1000000)
#define LIVE_EVERY (100 * NS_PER_MS)
#define LINE_FIRST (5000 * NS_PER_MS)
#define LINE_EVERY (10000 * NS_PER_MS)

enum { WIDTH_UNKNOWN = 80, WIDTH_LEAST = 20 };

static const char BOLD_CYAN[] = "\033[1;36m", PLAIN[] = "\033[0m";

/* Asked each time: a terminal may be resized at any moment. */
static size_t terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return WIDTH_UNKNOWN;
    return size.ws_col < WIDTH_LEAST ? WIDTH_LEAST : size.ws_col;
}

/* Moves to where the standing line starts and clears from there. When the terminal has become
 * narrower since, the line has been broken over several rows. */
static void add_erase(const struct progress *p, struct text *t, size_t width)
{
    if (p->columns == 0)
        return;
    text_add(t, "\r");
    if (p->columns > width)
        text_printf(t, "\033[%zuA", (p->columns - 1) / width);
    text_add(t, "\033[J");
}

/* Straight to the descriptor: the log would call us back. Nobody is left to tell when standard
 * error fails. */
static void write_terminal(struct text *t)
{
    if (t->status == ST_OK)
        (void)sys_write(STDERR_FILENO, t->buf.p, t->buf.n, "standard error", NULL, NULL);
    text_free(t);
}

static void erase(void *context)
{
    struct progress *p = context;
    struct text t = TEXT_EMPTY;
    if (p->columns == 0)
        return;
    add_erase(p, &t, terminal_width());
    p->columns = 0;
    write_terminal(&t);
}

/* The last column stays free: a character there makes some terminals go to the next line. */
static void draw(struct progress *p, const struct text *line, size_t lead)
{
    struct text t = TEXT_EMPTY;
    const char *words = (const char *)line->buf.p;
    size_t width = terminal_width(), n = line->buf.n;
    bool cut = columns_of(words, n) > width - 1;
    if (cut)
        n = columns_cut(words, n, width - 2);
    if (lead > n)
        lead = n;
    add_erase(p, &t, width);
    text_add(&t, p->colour ? BOLD_CYAN : "");
    text_add_bytes(&t, words, lead);
    text_add(&t, p->colour ? PLAIN : "");
    text_add_bytes(&t, words + lead, n - lead);
    text_add(&t, cut ? "…" : "");
    p->columns = columns_of(words, n) + cut;
    write_terminal(&t);
}

static bool has_value(const char *name)
{
    const char *value = getenv(name);
    return value && *value;
}

void progress_start(struct progress *p, bool quiet, int results_fd)
{
    const char *term = getenv("TERM");
    bool dumb = !term || !*term || strcmp(term, "dumb") == 0;
    *p = (struct progress){ .off = quiet };
    p->live = !dumb && isatty(STDERR_FILENO);
    p->colour = p->live && !has_value("NO_COLOR");
    p->results_on_terminal = results_fd >= 0 && isatty(results_fd);
    p->start = sys_now();
    p->next = p->live ? p->start : p->start + LINE_FIRST;
    if (p->live)
        log_set_hook(erase, p);
}

void progress_show(struct progress *p, const struct job_snapshot *snapshot)
{
    int64_t now = sys_now();
    rates_update(&p->rates, snapshot, now);
    if (p->results_on_terminal && snapshot->phase >= JOB_PUBLISH) {
        erase(p);
        p->off = true;
    }
    if (p->off || now < p->next)
        return;
    struct text line = TEXT_EMPTY;
    size_t lead;
    progress_line(&line, &p->rates, snapshot, now, &lead);
    if (line.status == ST_OK && p->live)
        draw(p, &line, lead);
    else if (line.status == ST_OK)
        log_note("%.*s", (int)line.buf.n, (const char *)line.buf.p);
    text_free(&line);
    p->next = now + (p->live ? LIVE_EVERY : LINE_EVERY);
}

void progress_end(struct progress *p)
{
    erase(p);
    log_set_hook(NULL, NULL);
    p->off = true;
}
