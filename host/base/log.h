/* log.h: messages for the user, on standard error. Each line starts with "lmr: " (errors) or with
 * "lmr: warning: ". While a progress line stands on the terminal it is cleared first (log_set_hook). */
#ifndef LMR_BASE_LOG_H
#define LMR_BASE_LOG_H

#include "base/status.h"

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Unless quiet: a plain line, "lmr: …". */
void log_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_set_quiet(bool quiet);
/* Prints an error with its position and traceback:
 * "lmr: MESSAGE" / "  at FILE, byte OFFSET, record N" / traceback lines. */
void log_err(const struct err *e);
/* Called before any line is printed (NULL: none): lets a live progress line clear itself. */
void log_set_hook(void (*before_line)(void *), void *context);

#endif
