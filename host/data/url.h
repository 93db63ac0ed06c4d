/* url.h: addresses among the names of inputs: "https://user:password@host/path?query#fragment".
 *
 * Credentials are taken out of an address as soon as it is met. What goes on from there as the
 * path of an input is the shown form, with *** for the password, so that no message, journal or
 * output can hold it; the secret travels beside it, to where the request is made. */
#ifndef LMR_DATA_URL_H
#define LMR_DATA_URL_H

#include "base/arena.h"
#include "base/bytes.h"

/* True when `name` begins with http:// or https:// (in any case of letters): an input to be fetched. */
bool url_is(const char *name);
/* True when it begins with another scheme and "://". */
bool url_is_foreign(const char *name);
/* Bytes of a name up to a query or fragment, if it is an address; else all of it. */
size_t url_name_length(const char *name);
/* Both in the arena: the shown form, and the secret "user:password" as it was written
 * (percent-encoded), NULL without a password. ST_USAGE when it is no address: without a host, or with
 * a blank or a control character. */
enum status url_split(const char *url, struct arena *a, const char **shown, const char **secret,
                      struct err *e);
/* What a request names: the shown form, without "user:***@"; a user alone stays. `out` is replaced
 * and terminated. */
enum status url_bare(const char *shown, struct buf *out);

#endif
