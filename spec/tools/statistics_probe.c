/* statistics_probe: events counted, a command a line:
 *   attempt SPECULATIVE · commit SPECULATIVE HAD_FAILED CPU · failure TYPE ACTION DELAY CPU SIMULATED
 *   backup TYPE CPU · lost SPECULATIVE CPU · recomputed · quarantined GROUPS COUNT
 *     print nothing
 *   put, put_failures     the encoded map in the notation of notation.h
 *   again                 what is counted is encoded and read back
 *   get VALUE             reads a map instead: "ok" or an error
 *   random SEED COUNT     reads COUNT damaged copies of what is counted; those that hold must come back the same */
#include "recover/statistics.h"

#include "notation.h"

#include <inttypes.h>

static struct statistics counted;

static double number(char **line)
{
    const char *word = notation_word(line);
    return word ? strtod(word, NULL) : 0;
}

static bool flag(char **line)
{
    return number(line) != 0;
}

static struct err failure_of(char **line)
{
    struct err e;
    const char *type = notation_word(line);
    (void)err_set(&e, status_from_type(type), "failed");
    (void)snprintf(e.type, sizeof e.type, "%s", type);
    return e;
}

static void attempt(char *line)
{
    statistics_attempt(&counted, flag(&line));
}

static void commit(char *line)
{
    bool speculative = flag(&line), had_failed = flag(&line);
    statistics_commit(&counted, speculative, had_failed, number(&line));
}

static void failure(char *line)
{
    struct verdict v = { .action = VERDICT_FAIL };
    struct err e = failure_of(&line);
    CHECK(verdict_from_name(slice_str(notation_word(&line)), &v.action));
    v.delay_seconds = number(&line);
    double cpu = number(&line);
    e.simulated = flag(&line);
    statistics_failure(&counted, &e, &v, cpu);
}

static void backup(char *line)
{
    struct err e = failure_of(&line);
    statistics_backup_failure(&counted, &e, number(&line));
}

static void lost(char *line)
{
    bool speculative = flag(&line);
    statistics_lost(&counted, speculative, number(&line));
}

static void recomputed(void)
{
    statistics_recomputed(&counted);
}

static void quarantined(char *line)
{
    bool groups = flag(&line);
    statistics_quarantined(&counted, groups, (int64_t)number(&line));
}

static void put(void)
{
    struct buf out = BUF_EMPTY;
    CHECK(statistics_put(&counted, &out) == ST_OK);
    notation_print(buf_slice(&out));
    (void)printf("\n");
    buf_free(&out);
}

static void put_failures(void)
{
    struct buf out = BUF_EMPTY;
    CHECK(statistics_put_failures(&counted, &out) == ST_OK);
    notation_print(buf_slice(&out));
    (void)printf("\n");
    buf_free(&out);
}

static void again(void)
{
    struct buf out = BUF_EMPTY;
    struct err e;
    CHECK(statistics_put(&counted, &out) == ST_OK);
    CHECK(statistics_get(buf_slice(&out), &counted, &e) == ST_OK);
    buf_free(&out);
}

static void get(char *line)
{
    struct buf value = BUF_EMPTY;
    struct err e;
    (void)notation_value(&line, &value);
    enum status st = statistics_get(buf_slice(&value), &counted, &e);
    if (st == ST_OK)
        (void)printf("ok\n");
    else
        notation_print_error(st, &e);
    buf_free(&value);
}

static uint32_t dice(uint64_t *state, size_t sides)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((*state >> 33) % sides);
}

static void random_copies(char *line)
{
    struct buf sound = BUF_EMPTY, copy = BUF_EMPTY, first = BUF_EMPTY, second = BUF_EMPTY;
    uint64_t state = (uint64_t)number(&line), count = (uint64_t)number(&line), held = 0;
    struct err e;
    CHECK(statistics_put(&counted, &sound) == ST_OK);
    for (uint64_t i = 0; i < count; i++) {
        struct statistics s, same;
        copy.n = first.n = second.n = 0;
        CHECK(buf_append_slice(&copy, buf_slice(&sound)) == ST_OK);
        for (uint32_t n = 1 + dice(&state, 3); n > 0; n--)
            copy.p[dice(&state, copy.n)] ^= (uint8_t)(1u << dice(&state, 8));
        copy.n = dice(&state, 8) ? copy.n : dice(&state, copy.n);
        enum status st = statistics_get(buf_slice(&copy), &s, &e);
        CHECK(st == ST_OK || (st == ST_CORRUPT && s.attempts == 0 && s.type_count == 0));
        if (st != ST_OK)
            continue;
        held++;
        CHECK(statistics_put(&s, &first) == ST_OK);
        CHECK(statistics_get(buf_slice(&first), &same, &e) == ST_OK);
        CHECK(statistics_put(&same, &second) == ST_OK);
        CHECK(slice_equal(buf_slice(&first), buf_slice(&second)));
    }
    (void)printf("%" PRIu64 " of %" PRIu64 " held\n", held, count);
    buf_free(&sound);
    buf_free(&copy);
    buf_free(&first);
    buf_free(&second);
}

static bool command(char *line)
{
    static const struct {
        const char *name;
        void (*run)(char *line);
    } commands[] = {
        { "attempt", attempt },
        { "commit", commit },
        { "failure", failure },
        { "backup", backup },
        { "lost", lost },
        { "quarantined", quarantined },
        { "get", get },
        { "random", random_copies },
    };
    static const struct {
        const char *name;
        void (*run)(void);
    } plain[] = {
        { "recomputed", recomputed },
        { "put", put },
        { "put_failures", put_failures },
        { "again", again },
    };
    char *name = notation_word(&line);
    for (size_t i = 0; name && i < sizeof plain / sizeof *plain; i++)
        if (strcmp(name, plain[i].name) == 0) {
            plain[i].run();
            return true;
        }
    for (size_t i = 0; name && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(name, commands[i].name) == 0) {
            commands[i].run(line);
            return true;
        }
    return name == NULL;
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    int code = 0;
    while (code == 0 && getline(&line, &room, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        code = command(line) ? 0 : 2;
    }
    free(line);
    return code;
}
