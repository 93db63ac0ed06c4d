/* Numbers as text: integers without printf, floats in the shortest form that reads back the same. */
#include "data/json.h"

#include <stdio.h>
#include <stdlib.h>

size_t int_format(int64_t v, char out[NUMBER_TEXT_MAX])
{
    static const char pairs[] = "0001020304050607080910111213141516171819"
                                "2021222324252627282930313233343536373839"
                                "4041424344454647484950515253545556575859"
                                "6061626364656667686970717273747576777879"
                                "8081828384858687888990919293949596979899";
    char digits[20];
    size_t at = sizeof digits;
    uint64_t magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    while (magnitude >= 100) {
        memcpy(digits + (at -= 2), pairs + 2 * (magnitude % 100), 2);
        magnitude /= 100;
    }
    if (magnitude >= 10)
        memcpy(digits + (at -= 2), pairs + 2 * magnitude, 2);
    else
        digits[--at] = (char)('0' + magnitude);
    size_t sign = v < 0;
    out[0] = '-';
    memcpy(out + sign, digits + at, sizeof digits - at);
    return sign + sizeof digits - at;
}

enum { DECIMALS_MAX = 6 };

/* Numbers such as 3.0, 0.25 or 1234.5: the fewest decimals k ≤ 6 for which an integer below 10^15,
 * divided by 10^k, is `v`. Both are doubles exactly, so the division rounds as reading the text
 * does, and no two decimals of so many digits are one double. Returns 0 when there is no such k. */
static size_t format_short(double v, char *out)
{
    static const double powers[DECIMALS_MAX + 1] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6 };
    double magnitude = v < 0 ? -v : v;
    for (size_t k = 0; k <= DECIMALS_MAX && magnitude * powers[k] < 1e15; k++) {
        int64_t scaled = (int64_t)(magnitude * powers[k] + 0.5);
        if ((double)scaled / powers[k] != magnitude)
            continue;
        char digits[NUMBER_TEXT_MAX];
        int64_t unit = (int64_t)powers[k];
        size_t n = 0;
        if (v < 0)
            out[n++] = '-';
        n += int_format(scaled / unit, out + n);
        out[n++] = '.';
        size_t have = int_format(scaled % unit, digits), want = k ? k : 1;
        memset(out + n, '0', want - have);
        memcpy(out + n + want - have, digits, have);
        return n + want;
    }
    return 0;
}

/* Whatever a locale writes as its decimal point (any bytes that are no part of a number) becomes
 * '.'. */
static size_t normalize(const char *text, char *out)
{
    size_t n = 0;
    bool marked = false, in_point = false;
    for (; *text && n < NUMBER_TEXT_MAX - 3; text++) {
        bool digit = (*text >= '0' && *text <= '9') || *text == '-' || *text == '+' || *text == 'e';
        if (digit)
            out[n++] = *text;
        else if (!in_point)
            out[n++] = '.';
        in_point = !digit;
        marked = marked || in_point || *text == 'e';
    }
    if (!marked) {
        out[n++] = '.';
        out[n++] = '0';
    }
    return n;
}

static bool reads_back(const char *text, double v)
{
    return strtod(text, NULL) == v;
}

/* %.15g gives back every decimal of 15 digits, without trailing zeros; only numbers near zero
 * (subnormals) may do with fewer digits than it prints. */
static size_t format_long(double v, char *out)
{
    char text[64];
    double magnitude = v < 0 ? -v : v;
    for (int digits = magnitude < 0x1p-1022 ? 1 : 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, v);
        if (reads_back(text, v))
            break;
    }
    return normalize(text, out);
}

static size_t put_word(char *out, const char *word)
{
    size_t n = 0;
    for (; word[n]; n++)
        out[n] = word[n];
    return n;
}

size_t float_format(double v, char out[NUMBER_TEXT_MAX])
{
    if (v != v)
        return put_word(out, "nan");
    if (v - v != 0)
        return put_word(out, v > 0 ? "inf" : "-inf");
    if (v == 0)
        return put_word(out, __builtin_signbit(v) ? "-0.0" : "0.0");
    double magnitude = v < 0 ? -v : v;
    size_t n = magnitude >= 1e-4 && magnitude < 1e15 ? format_short(v, out) : 0;
    return n ? n : format_long(v, out);
}
