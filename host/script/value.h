/* value.h: Lua values ↔ encoded keys and values (data/codec.h).
 *
 * Encoding looks at raw tables only (no metamethods), raises no Lua error and grows nothing in Lua, so that it may be called with a
 * half-built pair in the collector; what it refuses it says in `message`, which names the place: "value.items[3] is a function; …". A table whose keys
 * are exactly 1…n is an array, any other is a map; an empty one is an array, unless it was an empty map when it was decoded. */
#ifndef LMR_SCRIPT_VALUE_H
#define LMR_SCRIPT_VALUE_H

#include "data/codec.h"

#include <lua.h>

enum { ENCODER_MESSAGE_MAX = 512 };

struct encoder_step {
    const void *table;
    int key;         /* stack index of the key in a map, or 0 */
    lua_Integer at;  /* index in an array */
};

struct encoder {
    struct buf keys, entries, moved; /* scratch for sorting maps, used like stacks */
    unsigned depth;
    struct encoder_step path[CODEC_DEPTH_MAX + 1];
    const char *root; /* "value" or "key": how messages begin */
    char message[ENCODER_MESSAGE_MAX];
};

void encoder_free(struct encoder *enc);
/* Appends the encoding of the value at `index`. ST_SCRIPT: refused, see enc->message. ST_MEMORY. What was appended then is to
 * be dropped by the caller. */
enum status value_encode(struct encoder *enc, lua_State *L, int index, struct buf *out);
/* Appends the encoding of a key: boolean, number, string, mr.null, or an array of these. */
enum status key_encode(struct encoder *enc, lua_State *L, int index, struct buf *out);

/* Pushes the Lua value of encoded bytes; false (and nothing pushed) when they do not decode. May raise memory errors. */
bool value_push(lua_State *L, struct slice value);
/* The same for a key. `cursor` is scratch that outlives an error (initialised by key_cursor_init). */
bool key_push(lua_State *L, struct key_cursor *cursor, struct slice key);

/* Puts the metatable that marks an empty map into the registry; once a state. */
void value_setup(lua_State *L);

#endif
