/* changes.c: see changes.h. */
#include "schedule/changes.h"

#include "data/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

enum { TEXT_MAX = 1024, COMPONENTS_MAX = 1 << 20 };

static const char *const names[STAGE_COUNT] = { "map", "reduce", "format", "stop" };

/* A component, as it stands in the encoded fingerprints. */
struct component {
    struct slice name, place, why; /* place, why: empty when there is none */
    int64_t hash;
    bool can;
    size_t order; /* in its list */
};

/* A stage of one of the two. */
struct side {
    bool is_there, can;
    int64_t key;
    struct component *list; /* by name */
    size_t count;
};

struct comparison {
    struct changes *out;
    size_t capacity;
    uint32_t step;
    enum stage stage;
    enum status status;
};

/* --- names --- */

const char *stage_name(enum stage stage)
{
    return names[stage];
}

bool stage_parse(const char *text, uint32_t *step, enum stage *stage)
{
    const char *colon = strchr(text, ':');
    *step = 1;
    if (colon) {
        char *end;
        unsigned long n = *text >= '1' && *text <= '9' ? strtoul(text, &end, 10) : 0;
        if (n == 0 || n > INT32_MAX || end != colon)
            return false;
        *step = (uint32_t)n;
        text = colon + 1;
    }
    for (int i = 0; i < STAGE_COUNT; i++)
        if (strcmp(text, names[i]) == 0) {
            *stage = (enum stage)i;
            return true;
        }
    return false;
}

const char *stage_text(uint32_t step, enum stage stage, char out[STAGE_TEXT_MAX])
{
    if (step > 1)
        (void)snprintf(out, STAGE_TEXT_MAX, "%u:%s", step, names[stage]);
    else
        (void)snprintf(out, STAGE_TEXT_MAX, "%s", names[stage]);
    return out;
}

/* --- reading --- */

static bool find_stage(struct slice fingerprints, uint32_t step, enum stage stage, struct slice *out)
{
    struct val_cursor c;
    struct slice element = slice_of(NULL, 0);
    if (fingerprints.n == 0 || val_check(fingerprints) != ST_OK || step < 1)
        return false;
    uint64_t n = val_array(fingerprints, &c);
    if (step > n)
        return false;
    for (uint32_t i = 0; i < step; i++)
        if (val_skip(&c, &element) != ST_OK)
            return false;
    return val_is_map(element) && val_get(element, names[stage], out) && val_is_map(*out);
}

static uint64_t count_steps(struct slice fingerprints)
{
    struct val_cursor c;
    return fingerprints.n > 0 && val_check(fingerprints) == ST_OK ? val_array(fingerprints, &c) : 0;
}

static int by_name(const void *a, const void *b)
{
    const struct component *x = a, *y = b;
    int order = slice_compare(x->name, y->name);
    return order ? order : (x->order > y->order) - (x->order < y->order);
}

static int by_order(const void *a, const void *b)
{
    const struct component *const *x = a, *const *y = b;
    return ((*x)->order > (*y)->order) - ((*x)->order < (*y)->order);
}

static void read_component(struct slice map, size_t order, struct component *out)
{
    *out = (struct component){ .order = order };
    (void)val_get_string(map, "name", &out->name);
    (void)val_get_string(map, "place", &out->place);
    (void)val_get_string(map, "why", &out->why);
    out->hash = val_get_int(map, "hash", 0);
    out->can = val_get_bool(map, "can", true);
}

static enum status read_side(struct slice fingerprints, uint32_t step, enum stage stage, struct arena *arena, struct side *out)
{
    struct slice map, list = slice_of(NULL, 0), element;
    struct val_cursor c = val_cursor(list);
    *out = (struct side){ .can = true };
    if (!find_stage(fingerprints, step, stage, &map))
        return ST_OK;
    out->is_there = true;
    out->key = val_get_int(map, "key", 0);
    out->can = val_get_bool(map, "can", false);
    uint64_t n = val_get(map, "components", &list) ? val_array(list, &c) : 0;
    if (n > COMPONENTS_MAX)
        n = COMPONENTS_MAX;
    out->list = arena_alloc(arena, (size_t)n * sizeof *out->list + 1);
    if (!out->list)
        return ST_MEMORY;
    for (; out->count < n && val_skip(&c, &element) == ST_OK; out->count++)
        read_component(element, out->count, &out->list[out->count]);
    if (out->count > 0)
        qsort(out->list, out->count, sizeof *out->list, by_name);
    return ST_OK;
}

/* --- the list --- */

static const char *keep(struct comparison *c, struct slice text)
{
    char *copy = text.n > 0 ? arena_strndup(&c->out->arena, (const char *)text.p, text.n) : NULL;
    if (text.n > 0 && !copy)
        c->status = ST_MEMORY;
    return copy;
}

static void add(struct comparison *c, enum change_kind kind, struct slice name, struct slice then, struct slice now, const char *text)
{
    struct changes *out = c->out;
    if (out->count == c->capacity) {
        size_t capacity = c->capacity ? 2 * c->capacity : 16;
        struct change *list = arena_alloc(&out->arena, capacity * sizeof *list);
        if (!list) {
            c->status = ST_MEMORY;
            return;
        }
        if (out->count > 0)
            memcpy(list, out->list, out->count * sizeof *list);
        out->list = list;
        c->capacity = capacity;
    }
    struct change change = { .step = c->step, .stage = c->stage, .kind = kind, .name = keep(c, name), .then = keep(c, then),
                             .now = keep(c, now), .text = keep(c, slice_str(text)) };
    if (c->status == ST_OK)
        out->list[out->count++] = change;
}

static bool starts_with(struct slice s, const char *prefix)
{
    return s.n >= strlen(prefix) && memcmp(s.p, prefix, strlen(prefix)) == 0;
}

/* What stands in a line of a file is told with its place; what is held in a variable, option, … is told by its name. */
static bool has_line(struct slice name)
{
    return !starts_with(name, "upvalue ") && !starts_with(name, "global ");
}

/* `shown` is the one of now, or of then when it is gone. */
static void add_component(struct comparison *c, enum change_kind kind, const struct component *shown, struct slice then, struct slice now)
{
    static const char *const verbs[] = { [CHANGE_OTHER] = "changed", [CHANGE_NEW] = "is new", [CHANGE_GONE] = "is gone" };
    char text[TEXT_MAX];
    struct slice name = shown->name, place = shown->place;
    bool placed = place.n > 0 && has_line(name);
    (void)snprintf(text, sizeof text, "%.*s %s%s%.*s", name.n > 400 ? 400 : (int)name.n, (const char *)name.p, verbs[kind],
                   placed ? ", " : "", placed ? (place.n > 200 ? 200 : (int)place.n) : 0, (const char *)place.p);
    add(c, kind, name, then, now, text);
}

static void add_unsure(struct comparison *c, const struct component *now)
{
    char text[TEXT_MAX], stage[STAGE_TEXT_MAX];
    (void)snprintf(text, sizeof text, "cannot be compared: %.*s%s%.*s (lmr resume --accept-change %s)",
                   now->name.n > 400 ? 400 : (int)now->name.n, (const char *)now->name.p, now->why.n > 0 ? ": " : "",
                   now->why.n > 200 ? 200 : (int)now->why.n, (const char *)now->why.p, stage_text(c->step, c->stage, stage));
    add(c, CHANGE_UNSURE, now->name, now->place, now->place, text);
}

static void add_all(struct comparison *c, enum change_kind kind, const char *text)
{
    add(c, kind, slice_str(names[c->stage]), slice_of(NULL, 0), slice_of(NULL, 0), text);
}

static void add_not_known(struct comparison *c)
{
    char text[TEXT_MAX], stage[STAGE_TEXT_MAX];
    (void)snprintf(text, sizeof text, "what %s was is not known: the journal is of an older lmr (lmr resume --accept-change %s)",
                   names[c->stage], stage_text(c->step, c->stage, stage));
    add_all(c, CHANGE_NOT_KNOWN, text);
}

/* --- comparing --- */

static const struct component *find(const struct side *side, struct slice name)
{
    struct component wanted = { .name = name };
    size_t low = 0, high = side->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_compare(side->list[middle].name, wanted.name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < side->count && slice_equal(side->list[low].name, name) ? &side->list[low] : NULL;
}

/* The components of a side in the order they were met. */
static const struct component **in_order(struct comparison *c, const struct side *side)
{
    const struct component **list = arena_alloc(&c->out->arena, (side->count + 1) * sizeof *list);
    if (!list) {
        c->status = ST_MEMORY;
        return NULL;
    }
    for (size_t i = 0; i < side->count; i++)
        list[i] = &side->list[i];
    if (side->count > 0)
        qsort(list, side->count, sizeof *list, by_order);
    return list;
}

/* Both lists are in the order they were met, which begins with the stage's own functions. */
static void compare_components(struct comparison *c, const struct side *then, const struct side *now)
{
    const struct slice none = slice_of(NULL, 0);
    const struct component **new = in_order(c, now), **old = in_order(c, then), *other;
    for (size_t i = 0; new && c->status == ST_OK && i < now->count; i++) {
        other = find(then, new[i]->name);
        if (!new[i]->can)
            add_unsure(c, new[i]);
        else if (!other)
            add_component(c, CHANGE_NEW, new[i], none, new[i]->place);
        else if (!other->can)
            add_unsure(c, other);
        else if (other->hash != new[i]->hash)
            add_component(c, CHANGE_OTHER, new[i], other->place, new[i]->place);
    }
    for (size_t i = 0; old && c->status == ST_OK && i < then->count; i++)
        if (!find(now, old[i]->name))
            add_component(c, CHANGE_GONE, old[i], old[i]->place, none);
}

static enum stage_state compare_stage(struct comparison *c, const struct side *then, const struct side *now, bool is_known)
{
    size_t before = c->out->count;
    if (!then->is_there && !now->is_there)
        return STAGE_ABSENT;
    if (!is_known) {
        add_not_known(c);
        return STAGE_NOT_KNOWN;
    }
    if (!then->is_there || !now->is_there) {
        char text[64];
        (void)snprintf(text, sizeof text, "%s is %s", names[c->stage], now->is_there ? "new" : "gone");
        add_all(c, now->is_there ? CHANGE_NEW : CHANGE_GONE, text);
        return STAGE_CHANGED;
    }
    bool can = then->can && now->can;
    if (can && then->key == now->key)
        return STAGE_SAME;
    compare_components(c, then, now);
    if (c->out->count == before) {
        char text[128];
        (void)snprintf(text, sizeof text, "%s changed: its functions refer to each other in another way", names[c->stage]);
        add_all(c, CHANGE_ORDER, text);
    }
    return can ? STAGE_CHANGED : STAGE_UNSURE;
}

enum status changes_compare(struct slice then, struct slice now, struct changes *out, struct err *e)
{
    uint64_t steps = count_steps(now), old = count_steps(then);
    struct comparison c = { .out = out, .status = ST_OK };
    out->steps = (uint32_t)(steps > old ? steps : old);
    out->states = arena_alloc(&out->arena, (size_t)out->steps * STAGE_COUNT * sizeof *out->states + 1);
    if (!out->states)
        c.status = ST_MEMORY;
    for (uint32_t i = 0; c.status == ST_OK && i < out->steps * STAGE_COUNT; i++) {
        struct side a, b;
        c.step = i / STAGE_COUNT + 1;
        c.stage = (enum stage)(i % STAGE_COUNT);
        c.status = read_side(then, c.step, c.stage, &out->arena, &a);
        if (c.status == ST_OK)
            c.status = read_side(now, c.step, c.stage, &out->arena, &b);
        if (c.status == ST_OK)
            out->states[i] = compare_stage(&c, &a, &b, old > 0);
    }
    return c.status == ST_OK ? ST_OK : err_memory(e, "the comparison of fingerprints", now.n);
}

void changes_free(struct changes *c)
{
    arena_free(&c->arena);
    *c = (struct changes){ .arena = ARENA_EMPTY };
}

/* --- asking --- */

enum stage_state changes_stage(const struct changes *c, uint32_t step, enum stage stage)
{
    return step >= 1 && step <= c->steps ? c->states[(step - 1) * STAGE_COUNT + stage] : STAGE_ABSENT;
}

bool changes_is_changed(const struct changes *c, uint32_t step, enum stage stage)
{
    enum stage_state state = changes_stage(c, step, stage);
    return state != STAGE_ABSENT && state != STAGE_SAME;
}

const char *changes_reason(const struct changes *c, uint32_t step, enum stage stage, char out[CHANGES_REASON_MAX])
{
    const char *first = NULL;
    size_t more = 0;
    for (size_t i = 0; i < c->count; i++)
        if (c->list[i].step == step && c->list[i].stage == stage) {
            more += first != NULL;
            first = first ? first : c->list[i].text;
        }
    if (more > 0)
        (void)snprintf(out, CHANGES_REASON_MAX, "%s (and %zu more)", first, more);
    else
        (void)snprintf(out, CHANGES_REASON_MAX, "%s", first ? first : "");
    return out;
}

uint64_t stage_key(struct slice fingerprints, uint32_t step, enum stage stage)
{
    struct slice map;
    if (!find_stage(fingerprints, step, stage, &map) || !val_get_bool(map, "can", false))
        return 0;
    int64_t key = val_get_int(map, "key", 0);
    return XXH3_64bits(&key, sizeof key) | 1;
}
