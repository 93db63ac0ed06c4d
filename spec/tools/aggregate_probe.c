/* aggregate_probe: one command a line on standard input.
 *   agg DECLARATION   starts anew; says nothing, or why not
 *   add VALUE         folds a value; says nothing, or why not
 *   cut               ends a task: its partial is kept, a fresh state begins
 *   chain             writes the state's partial and goes on from a state that has merged it
 *   weight            prints agg_weight
 *   partial           prints the partial in hex
 *   merge HEX         merges bytes; prints the status
 *   finish            merges the partials in order (or takes the state, when nothing was cut) and
 *                     prints the result
 * Values are written as in notation.h. */
#include "data/aggregate.h"

#include "base/sys.h"
#include "notation.h"

struct probe {
    struct agg *agg;
    void *state;
    struct buf partials; /* (varint length, bytes)* */
};

static void fresh(struct probe *p)
{
    p->state = sys_malloc(agg_state_size(p->agg));
    CHECK(p->state);
    agg_init(p->agg, p->state);
}

static void drop(struct probe *p)
{
    agg_drop(p->agg, p->state);
    sys_free(p->state);
    p->state = NULL;
}

static void forget(struct probe *p)
{
    if (p->state)
        drop(p);
    agg_free(p->agg);
    buf_free(&p->partials);
    *p = (struct probe){ NULL, NULL, BUF_EMPTY };
}

static void start(struct probe *p, char *line)
{
    struct buf declaration = BUF_EMPTY;
    struct err e;
    forget(p);
    err_clear(&e);
    notation_value(&line, &declaration);
    enum status status = agg_parse(buf_slice(&declaration), &p->agg, &e);
    if (status != ST_OK)
        notation_print_error(status, &e);
    else
        fresh(p);
    buf_free(&declaration);
}

static void add(struct probe *p, char *line)
{
    struct buf value = BUF_EMPTY;
    struct err e;
    err_clear(&e);
    notation_value(&line, &value);
    enum status status = agg_add(p->agg, p->state, buf_slice(&value), &e);
    if (status != ST_OK)
        notation_print_error(status, &e);
    buf_free(&value);
}

static void cut(struct probe *p)
{
    struct buf partial = BUF_EMPTY;
    CHECK(agg_partial(p->agg, p->state, &partial) == ST_OK);
    CHECK(buf_append_varint(&p->partials, partial.n) == ST_OK);
    CHECK(buf_append_slice(&p->partials, buf_slice(&partial)) == ST_OK);
    buf_free(&partial);
    drop(p);
    fresh(p);
}

static void merge_cut(struct probe *p)
{
    const uint8_t *at = p->partials.p, *end = at + p->partials.n;
    struct err e;
    while (at < end) {
        uint64_t n = 0;
        at += varint_get(at, end, &n);
        CHECK(agg_merge(p->agg, p->state, slice_of(at, (size_t)n), &e) == ST_OK);
        at += n;
    }
    p->partials.n = 0;
}

static void finish(struct probe *p)
{
    struct buf out = BUF_EMPTY;
    struct err e;
    err_clear(&e);
    if (p->partials.n > 0) {
        cut(p);
        merge_cut(p);
    }
    enum status status = agg_finish(p->agg, p->state, &out, &e);
    if (status != ST_OK) {
        notation_print_error(status, &e);
    } else {
        notation_print(buf_slice(&out));
        printf("\n");
    }
    buf_free(&out);
}

static void partial(struct probe *p)
{
    struct buf out = BUF_EMPTY;
    CHECK(agg_partial(p->agg, p->state, &out) == ST_OK);
    notation_hex(buf_slice(&out));
    printf("\n");
    buf_free(&out);
}

static void merge(struct probe *p, char *line)
{
    struct buf bytes = BUF_EMPTY;
    struct err e;
    char *word = notation_word(&line);
    notation_unhex(word ? word : "", &bytes);
    printf("%s\n", status_type(agg_merge(p->agg, p->state, buf_slice(&bytes), &e)));
    buf_free(&bytes);
}

static void run_command(struct probe *p, const char *command, char *line)
{
    if (strcmp(command, "agg") == 0)
        start(p, line);
    else if (!p->agg)
        printf("no aggregate\n");
    else if (strcmp(command, "add") == 0)
        add(p, line);
    else if (strcmp(command, "cut") == 0)
        cut(p);
    else if (strcmp(command, "chain") == 0) {
        cut(p);
        merge_cut(p);
    } else if (strcmp(command, "weight") == 0)
        printf("%zu\n", agg_weight(p->agg, p->state));
    else if (strcmp(command, "partial") == 0)
        partial(p);
    else if (strcmp(command, "merge") == 0)
        merge(p, line);
    else if (strcmp(command, "finish") == 0)
        finish(p);
    else
        printf("unknown command %s\n", command);
}

int main(void)
{
    struct probe p = { NULL, NULL, BUF_EMPTY };
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, stdin)) > 0) {
        if (line[n - 1] == '\n')
            line[n - 1] = '\0';
        char *rest = line;
        char *command = notation_word(&rest);
        if (command)
            run_command(&p, command, rest);
    }
    free(line);
    forget(&p);
    return 0;
}
