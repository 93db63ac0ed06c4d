/* Failures of the network: from what curl and the server say to a struct err. */
#include "data/remote_call.h"

#include "base/size.h"

#include <stdarg.h>
#include <stdio.h>

/* Codes that are met in practice, by curl's own names; what to do about each. */
#define CODES(X)                                                                                   \
    X(CURLE_UNSUPPORTED_PROTOCOL, "only http and https are spoken here")                    \
    X(CURLE_URL_MALFORMAT, "check the address")                                                    \
    X(CURLE_COULDNT_RESOLVE_PROXY, "check http_proxy and https_proxy in the environment")          \
    X(CURLE_COULDNT_RESOLVE_HOST, "check the name of the host, and this machine's DNS")            \
    X(CURLE_COULDNT_CONNECT, "is the server up, and its port right?")                              \
    X(CURLE_WEIRD_SERVER_REPLY, "it does not speak HTTP")                                          \
    X(CURLE_PARTIAL_FILE, "the connection ended early")                                            \
    X(CURLE_OPERATION_TIMEDOUT, "the server or the network is too slow")                           \
    X(CURLE_SSL_CONNECT_ERROR, "its TLS does not work; is it http://?")                            \
    X(CURLE_PEER_FAILED_VERIFICATION, "its certificate is not trusted here (ca-certificates)")     \
    X(CURLE_TOO_MANY_REDIRECTS, "give the address it leads to")                                    \
    X(CURLE_GOT_NOTHING, "it closed the connection without an answer")                             \
    X(CURLE_SEND_ERROR, "the server or the network broke the connection")                          \
    X(CURLE_RECV_ERROR, "the server or the network broke the connection")                          \
    X(CURLE_BAD_CONTENT_ENCODING, "what it sends is not well-formed")                              \
    X(CURLE_CHUNK_FAILED, "what it sends is not well-formed")

static const struct {
    CURLcode code;
    const char *name, *hint;
} codes[] = {
#define X(code, hint) { code, #code, hint },
    CODES(X)
#undef X
};

static const char *hint_of(CURLcode code)
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].code == code)
            return codes[i].hint;
    return NULL;
}

static void add_code(CURLcode code, struct err *e)
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].code == code) {
            err_detail(e, "curl", "%s", codes[i].name);
            return;
        }
    err_detail(e, "curl", "%d", (int)code);
}

static void add_details(const struct remote_call *c, struct err *e)
{
    curl_off_t seconds = 0;
    if (!e)
        return;
    err_at(e, c->file.url, -1, -1);
    if (c->answer.status > 0)
        err_detail(e, "status", "%ld", c->answer.status);
    if (!c->running && c->code != CURLE_OK && c->code != CURLE_WRITE_ERROR)
        add_code(c->code, e);
    err_detail(e, "url", "%s", c->file.url);
    if (c->answer.has_retry_after &&
        c->curl.easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK)
        e->retry_after = seconds > 0 ? (double)seconds : 0;
}

enum status remote_call_fail(const struct remote_call *c, struct err *e, const char *format, ...)
{
    char text[ERR_MESSAGE_MAX / 2];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    enum status status = err_set(e, ST_NETWORK, "%.700s: %s", c->file.url, text);
    add_details(c, e);
    return status;
}

enum status remote_call_failed(const struct remote_call *c, struct err *e)
{
    if (c->code == CURLE_OUT_OF_MEMORY || c->code == CURLE_WRITE_ERROR)
        return err_memory(e, "a connection", 0);
    const char *hint = hint_of(c->code);
    const char *text = c->text[0] ? c->text : c->curl.easy_strerror(c->code);
    return remote_call_fail(c, e, "%s%s%s", text, hint ? "; " : "", hint ? hint : "");
}

/* --- statuses of HTTP --- */

static const char *advice(long status)
{
    switch (status) {
    case 401:
        return "it wants to know who asks; give user and password in the address "
               "(https://user:password@host/…) or in ~/.netrc";
    case 403:
        return "it does not give this file to who asks; check the user and password in the "
               "address or in ~/.netrc";
    case 404:
    case 410:
        return "it has no such file; check the address";
    case 407:
        return "the proxy wants a user and password; give them in http_proxy or https_proxy";
    case 408:
    case 429:
    case 503:
        return "it is busy; use fewer workers, or wait longer (retry.base_delay_seconds)";
    default:
        return status >= 500 ? "it fails; its log should say why" : "it does not give this file";
    }
}

static enum status refused(const struct remote_call *c, struct err *e)
{
    char wait[64] = "", text[SIZE_TEXT_MAX];
    curl_off_t seconds = 0;
    if (c->answer.has_retry_after &&
        c->curl.easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK && seconds > 0)
        (void)snprintf(wait, sizeof wait, ", and asks to wait %s",
                       duration_format((double)seconds, text));
    return remote_call_fail(c, e, "the server answers %ld%s: %s", c->answer.status, wait,
                            advice(c->answer.status));
}

enum status remote_call_check(const struct remote_call *c, struct err *e)
{
    long status = c->answer.status;
    bool followed = c->code == CURLE_TOO_MANY_REDIRECTS || c->code == CURLE_UNSUPPORTED_PROTOCOL ||
                    c->code == CURLE_URL_MALFORMAT;
    if (status / 100 == 2)
        return ST_OK;
    if (!c->running && (status == 0 || followed))
        return c->code == CURLE_OK ? remote_call_fail(c, e, "the server gave no answer")
                                   : remote_call_failed(c, e);
    return refused(c, e);
}
