/* words.h: what a word is: a maximal run of ASCII letters, digits, and bytes ≥ 0x80, so that words of UTF-8
 * text stay whole. mr.words and mr.word_mapper both cut like this. */
#ifndef LMR_SCRIPT_WORDS_H
#define LMR_SCRIPT_WORDS_H

#include "base/bytes.h"

#include <lua.h>

extern const uint8_t words_class[256]; /* 1: part of a word */

/* The next run of bytes of a class (1 in its table of 256) from `p` on: its start in *word, its end in *p; or false. */
static inline bool words_next(const uint8_t *class, const uint8_t **p, const uint8_t *end, const uint8_t **word)
{
    const uint8_t *s = *p;
    while (s < end && !class[*s])
        s++;
    if (s == end)
        return false;
    *word = s;
    do
        s++;
    while (s < end && class[*s]);
    *p = s;
    return true;
}

/* Returns an iterator over the runs of a class in the string at 1; the value at 3, if any, keeps the class alive. */
int words_push_runs(lua_State *L, const uint8_t *class);

/* mr.words(s) → iterator; mr.split(s, separator) → array; mr.fields(s) → array. */
int words_iterate(lua_State *L);
int words_split(lua_State *L);
int words_fields(lua_State *L);

#endif
