/* curl_api.h: libcurl, loaded when the first address is read. Private to the input half of this room.
 *
 * Linked in the usual way it and the libraries it needs (TLS, LDAP, Kerberos, HTTP/2 …: twenty of them)
 * double the time that a process of lmr takes to start, and its memory, for jobs that read no address
 * too. */
#ifndef LMR_DATA_CURL_API_H
#define LMR_DATA_CURL_API_H

#include "base/status.h"

#include <curl/curl.h>

#define CURL_API(X)                                                                                \
    X(global_init) X(global_cleanup) X(free)                                                       \
    X(easy_init) X(easy_setopt) X(easy_getinfo) X(easy_pause) X(easy_cleanup) X(easy_unescape)     \
    X(easy_strerror)                                                                               \
    X(multi_init) X(multi_add_handle) X(multi_remove_handle) X(multi_perform) X(multi_poll)        \
    X(multi_info_read) X(multi_cleanup)

/* curl_easy_init is `easy_init`, and so on. */
struct curl_api {
#define X(name) __typeof__(&curl_##name)(name);
    CURL_API(X)
#undef X
};

/* Fills `out`; the library stays loaded. ST_USAGE when it is not there. */
enum status curl_api_load(struct curl_api *out, struct err *e);

#endif
