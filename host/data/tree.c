#include "data/tree.h"

#include "base/sys.h"

/* A leaf's pair, with the first 8 key bytes as a number. A leaf whose cursor has ended has no key
 * and the greatest prefix. */
struct leaf {
    uint64_t prefix;
    struct slice key, value;
    struct run_cursor *cursor;
};

struct tree {
    struct leaf *leaves;
    uint32_t *losers; /* losers[1 … n−1]: the leaf that lost at that node */
    uint32_t n, winner;
    bool started;
    /* After a second win in a row: the best of the losers on the winner's path, which it has to
     * beat. */
    uint32_t wins, challenger;
};

static uint64_t prefix_of(struct slice key)
{
    uint64_t bytes = 0;
    if (key.n >= sizeof bytes) {
        memcpy(&bytes, key.p, sizeof bytes);
        return __builtin_bswap64(bytes);
    }
    for (size_t i = 0; i < key.n; i++)
        bytes |= (uint64_t)key.p[i] << (56 - 8 * i);
    return bytes;
}

/* Order of leaves whose prefixes are equal. */
static bool beats_on_tie(const struct tree *t, uint32_t a, uint32_t b)
{
    const struct leaf *x = &t->leaves[a], *y = &t->leaves[b];
    if (!x->key.p || !y->key.p)
        return x->key.p ? true : !y->key.p && a < b;
    int order = slice_compare(x->key, y->key);
    return order ? order < 0 : a < b;
}

static inline bool beats(const struct tree *t, uint32_t a, uint32_t b)
{
    uint64_t x = t->leaves[a].prefix, y = t->leaves[b].prefix;
    return x != y ? x < y : beats_on_tie(t, a, b);
}

static enum status advance(struct leaf *leaf, struct err *e)
{
    enum status status = run_cursor_next(leaf->cursor, &leaf->key, &leaf->value, e);
    if (status == ST_OK) {
        leaf->prefix = prefix_of(leaf->key);
    } else if (status == ST_END) {
        leaf->key = leaf->value = (struct slice){ NULL, 0 };
        leaf->prefix = UINT64_MAX;
        status = ST_OK;
    }
    return status;
}

/* Plays leaf `i` up from its place; what wins at the top is the winner. */
static void replay(struct tree *t, uint32_t i)
{
    uint32_t winner = i;
    for (uint32_t node = (t->n + i) / 2; node > 0; node /= 2) {
        uint32_t loser = t->losers[node];
        if (beats(t, loser, winner)) {
            t->losers[node] = winner;
            winner = loser;
        }
    }
    t->winner = winner;
}

/* The first tournament: node i of 1 … n−1 has the children 2i and 2i+1; n + j is leaf j. */
static uint32_t play_all(struct tree *t, uint32_t node)
{
    if (node >= t->n)
        return node - t->n;
    uint32_t a = play_all(t, 2 * node), b = play_all(t, 2 * node + 1);
    bool first = beats(t, a, b);
    t->losers[node] = first ? b : a;
    return first ? a : b;
}

/* The best of those the winner has beaten on its path. */
static uint32_t find_challenger(const struct tree *t)
{
    uint32_t node = (t->n + t->winner) / 2;
    if (node == 0)
        return t->winner;
    uint32_t best = t->losers[node];
    for (node /= 2; node > 0; node /= 2)
        if (beats(t, t->losers[node], best))
            best = t->losers[node];
    return best;
}

static enum status start(struct tree *t, struct err *e)
{
    enum status status = ST_OK;
    for (uint32_t i = 0; status == ST_OK && i < t->n; i++)
        status = advance(&t->leaves[i], e);
    if (status == ST_OK) {
        t->winner = t->n > 1 ? play_all(t, 1) : 0;
        t->started = true;
    }
    return status;
}

/* Moves the winner on and finds the next. While one leaf keeps winning, only its challenger is
 * asked. */
static enum status move_on(struct tree *t, struct err *e)
{
    uint32_t last = t->winner;
    enum status status = advance(&t->leaves[last], e);
    if (status != ST_OK)
        return status;
    if (t->wins > 1 && (t->challenger == last || beats(t, last, t->challenger)))
        return ST_OK;
    replay(t, last);
    if (t->winner != last)
        t->wins = 0;
    else if (++t->wins == 2)
        t->challenger = find_challenger(t);
    return ST_OK;
}

enum status tree_next(struct tree *t, struct slice *key, struct slice *value, struct err *e)
{
    if (t->n == 0)
        return ST_END;
    enum status status = t->started ? move_on(t, e) : start(t, e);
    if (status != ST_OK)
        return status;
    const struct leaf *leaf = &t->leaves[t->winner];
    if (!leaf->key.p)
        return ST_END;
    *key = leaf->key;
    *value = leaf->value;
    return ST_OK;
}

enum status tree_open_take(struct run_cursor *const *cursors, size_t n, struct tree **out,
                           struct err *e)
{
    CHECK(n < UINT32_MAX / 2);
    struct tree *t = sys_calloc(1, sizeof *t);
    struct leaf *leaves = sys_calloc(n, sizeof *leaves);
    uint32_t *losers = sys_calloc(n, sizeof *losers);
    if (!t || !leaves || !losers) {
        sys_free(t);
        sys_free(leaves);
        sys_free(losers);
        for (size_t i = 0; i < n; i++)
            run_cursor_close(cursors[i]);
        return err_memory(e, "a merge", n * sizeof *leaves);
    }
    *t = (struct tree){ .leaves = leaves, .losers = losers, .n = (uint32_t)n };
    for (size_t i = 0; i < n; i++)
        leaves[i].cursor = cursors[i];
    *out = t;
    return ST_OK;
}

uint64_t tree_bytes(const struct tree *t)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < t->n; i++)
        bytes += run_cursor_bytes(t->leaves[i].cursor);
    return bytes;
}

void tree_close(struct tree *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i < t->n; i++)
        run_cursor_close(t->leaves[i].cursor);
    sys_free(t->leaves);
    sys_free(t->losers);
    sys_free(t);
}
