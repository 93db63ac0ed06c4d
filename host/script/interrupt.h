/* interrupt.h: stopping a running script from outside.
 *
 * A stop is asked for from another thread. It reaches the script's own thread as a signal (SIGURG, which does nothing by itself), whose
 * handler arms a count hook in the state: the next Lua instruction raises. The hook stays armed, so a script that catches the error meets
 * it again at once. Nothing is armed in normal running. The deadline is a thread that waits, made only when there is one. */
#ifndef LMR_SCRIPT_INTERRUPT_H
#define LMR_SCRIPT_INTERRUPT_H

#include "script/state.h"

/* Makes `s` the state that interrupts of this process reach, called by the thread that will run it; starts its deadline. One at a time. */
enum status interrupt_begin(struct script *s, struct err *e);
/* Nothing reaches `s` any more. Before lua_close. */
void interrupt_end(struct script *s);

#endif
