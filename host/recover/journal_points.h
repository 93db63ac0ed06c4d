/* journal_points.h: failpoints inside SQLite: where the journal is written, cut and removed. */
#ifndef LMR_RECOVER_JOURNAL_POINTS_H
#define LMR_RECOVER_JOURNAL_POINTS_H

/* Has SQLite pass failpoints at its own writes from now on; nothing while none are asked for. Before the first journal
 * is opened, as its calls are those of the whole process. */
void journal_points(void);

#endif
