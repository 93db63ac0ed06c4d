/* groups.h: the merged pairs of a partition, a group at a time. */
#ifndef LMR_SCRIPT_GROUPS_H
#define LMR_SCRIPT_GROUPS_H

#include "data/merge.h"
#include "script/task.h"

struct groups {
    struct merge *merge;
    uint32_t group_by;
    bool has_pair;           /* key and value are the next pair, not taken yet */
    bool ended;
    bool in_group;
    struct slice key, value; /* of that pair: valid until the next step */
    struct buf first;        /* the group's first key, whole */
    size_t group_length;     /* bytes of `first` that make the group */
    struct buf group_key;    /* what reduce is given, encoded */
    uint64_t groups, pairs;
};

enum status groups_open(struct groups *g, struct task *t, struct err *e);
void groups_close(struct groups *g);
/* Steps to the next group (over what is left of the current one); ST_END after the last. */
enum status groups_next(struct groups *g, struct err *e);
/* Steps to the group's next pair, which is in g->key and g->value; ST_END at the group's end. */
enum status groups_pair(struct groups *g, struct err *e);

#endif
