#include "base/size.h"

#include <math.h>
#include <stdio.h>
#include <strings.h>

/* A decimal number without sign or exponent, read exactly: whole part, and the fraction in [0, 1). */
struct decimal {
    uint64_t whole;
    double fraction;
    bool has_fraction;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads digits, then optionally a point and digits; returns what follows, or NULL when there is no
 * such number or its whole part is beyond 64 bits. The locale plays no part. */
static const char *decimal_read(const char *text, struct decimal *d)
{
    *d = (struct decimal){ 0, 0, false };
    if (!is_digit(*text))
        return NULL;
    for (; is_digit(*text); text++) {
        unsigned digit = (unsigned)(*text - '0');
        if (d->whole > (UINT64_MAX - digit) / 10)
            return NULL;
        d->whole = d->whole * 10 + digit;
    }
    if (*text != '.')
        return text;
    if (!is_digit(*++text))
        return NULL;
    d->has_fraction = true;
    double scale = 1;
    for (; is_digit(*text); text++) {
        scale /= 10;
        d->fraction += scale * (*text - '0');
    }
    return text;
}

/* The power of 1024 that a unit stands for ("", "B" → 0, "K", "kb", "KiB" → 1, …), or −1. */
static int size_unit(const char *unit)
{
    static const char letters[] = "KMGT";
    if (!*unit || strcasecmp(unit, "b") == 0)
        return 0;
    for (int i = 0; letters[i]; i++)
        if (strncasecmp(unit, &letters[i], 1) == 0) {
            bool whole = !unit[1] || strcasecmp(unit + 1, "b") == 0 || strcasecmp(unit + 1, "ib") == 0;
            return whole ? i + 1 : -1;
        }
    return -1;
}

bool size_parse(const char *text, uint64_t *bytes)
{
    struct decimal d;
    const char *unit = decimal_read(text, &d);
    int power = unit ? size_unit(unit) : -1;
    if (power < 0 || (power == 0 && d.has_fraction))
        return false;
    unsigned shift = 10 * (unsigned)power;
    if (d.whole > (uint64_t)INT64_MAX >> shift)
        return false;
    *bytes = (d.whole << shift) + (uint64_t)(d.fraction * (double)(1ULL << shift));
    return *bytes <= INT64_MAX;
}

bool duration_parse(const char *text, double *seconds)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = { { "", 1 }, { "ms", 0.001 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } };
    struct decimal d;
    const char *unit = decimal_read(text, &d);
    if (!unit)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(unit, units[i].name) == 0) {
            *seconds = ((double)d.whole + d.fraction) * units[i].seconds;
            return true;
        }
    return false;
}

char *size_format(uint64_t bytes, char out[SIZE_TEXT_MAX])
{
    static const char *const units[] = { "B", "KB", "MB", "GB", "TB", "PB", "EB" };
    double value = (double)bytes;
    size_t unit = 0;
    /* 1023.5 would print as 1024: that is one of the next unit */
    while (value >= 1023.5 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024;
        unit++;
    }
    if (unit == 0 || value >= 999.5)
        (void)snprintf(out, SIZE_TEXT_MAX, "%.0f %s", value, units[unit]);
    else
        (void)snprintf(out, SIZE_TEXT_MAX, "%.3g %s", value, units[unit]);
    return out;
}

char *duration_format(double seconds, char out[SIZE_TEXT_MAX])
{
    if (!(seconds >= 0) || seconds > 1e12)
        (void)snprintf(out, SIZE_TEXT_MAX, "? s");
    else if (seconds < 9.995)
        (void)snprintf(out, SIZE_TEXT_MAX, "%.2f s", seconds);
    else if (seconds < 59.95)
        (void)snprintf(out, SIZE_TEXT_MAX, "%.1f s", seconds);
    else if (seconds < 3599.5) {
        long long whole = llround(seconds);
        (void)snprintf(out, SIZE_TEXT_MAX, "%lld m %02lld s", whole / 60, whole % 60);
    } else {
        long long minutes = llround(seconds / 60);
        (void)snprintf(out, SIZE_TEXT_MAX, "%lld h %02lld m", minutes / 60, minutes % 60);
    }
    return out;
}

char *count_format(uint64_t count, char out[SIZE_TEXT_MAX])
{
    char reversed[SIZE_TEXT_MAX];
    size_t n = 0, digits = 0;
    do {
        if (digits > 0 && digits % 3 == 0)
            reversed[n++] = ',';
        reversed[n++] = (char)('0' + count % 10);
        digits++;
        count /= 10;
    } while (count > 0);
    for (size_t i = 0; i < n; i++)
        out[i] = reversed[n - 1 - i];
    out[n] = '\0';
    return out;
}

enum { NAME_MAX_LENGTH = 63 };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Edit distance of two names of at most NAME_MAX_LENGTH bytes: insert, delete, replace, swap. */
static unsigned edit_distance(const char *a, size_t a_n, const char *b, size_t b_n)
{
    unsigned rows[3][NAME_MAX_LENGTH + 1]; /* the row before the last, the last, the current */
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= b_n; j++)
        before[j] = last[j] = (unsigned)j;
    for (size_t i = 1; i <= a_n; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b_n; j++) {
            unsigned replaced = last[j - 1] + (a[i - 1] != b[j - 1]);
            now[j] = least(replaced, least(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
        unsigned *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b_n];
}

const char *nearest_name(const char *name, const char *const *names)
{
    size_t n = strlen(name);
    if (n > NAME_MAX_LENGTH)
        return NULL;
    unsigned best_distance = n / 3 < 1 ? 1 : n / 3 > 3 ? 3 : (unsigned)(n / 3);
    const char *best = NULL;
    for (; *names; names++) {
        size_t other = strlen(*names);
        if (other > NAME_MAX_LENGTH)
            continue;
        unsigned distance = edit_distance(name, n, *names, other);
        if (distance < best_distance || (distance == best_distance && !best)) {
            best_distance = distance;
            best = *names;
        }
    }
    return best;
}
