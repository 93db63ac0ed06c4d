#include "data/url.h"

#include <strings.h>

/* Length of "http://" or "https://" at the beginning; 0: neither. */
static size_t scheme_length(const char *name)
{
    static const char *const schemes[] = { "http://", "https://" };
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncasecmp(name, schemes[i], strlen(schemes[i])) == 0)
            return strlen(schemes[i]);
    return 0;
}

bool url_is(const char *name)
{
    return scheme_length(name) > 0;
}

bool url_is_foreign(const char *name)
{
    static const char of_schemes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789+.-";
    size_t n = strspn(name, of_schemes);
    return n > 0 && strncmp(name + n, "://", 3) == 0 && !url_is(name);
}

size_t url_name_length(const char *name)
{
    return url_is(name) ? strcspn(name, "?#") : strlen(name);
}

/* Where host and port begin: behind the last @ of the authority, if there is one. */
static size_t host_start(const char *url)
{
    size_t start = scheme_length(url), n = strcspn(url + start, "/?#");
    for (size_t i = n; i > 0; i--)
        if (url[start + i - 1] == '@')
            return start + i;
    return start;
}

static enum status check(const char *url, struct err *e)
{
    size_t host = host_start(url);
    if (strcspn(url + host, ":/?#") == 0)
        return err_set(e, ST_USAGE, "%.*s… is an address without a host",
                       (int)scheme_length(url), url);
    for (const char *p = url; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return err_set(e, ST_USAGE,
                           "the address of an input at %.500s holds a blank or control character; "
                           "write %%20 for a blank",
                           url + host);
    return ST_OK;
}

/* Bytes of "user:" between scheme and host; 0: there is no password. */
static size_t user_length(const char *url)
{
    size_t start = scheme_length(url);
    const char *colon = memchr(url + start, ':', host_start(url) - start);
    return colon ? (size_t)(colon - url) + 1 - start : 0;
}

enum status url_split(const char *url, struct arena *a, const char **shown, const char **secret,
                      struct err *e)
{
    size_t start = scheme_length(url), host = host_start(url), user = user_length(url);
    struct buf text = BUF_EMPTY;
    *shown = *secret = NULL;
    enum status status = check(url, e);
    if (status != ST_OK)
        return status;
    status = buf_append(&text, url, start + user);
    if (status == ST_OK)
        status = user ? buf_printf(&text, "***@%s", url + host)
                      : buf_append_str(&text, url + start);
    if (status == ST_OK)
        *shown = arena_strndup(a, (const char *)text.p, text.n);
    if (user)
        *secret = arena_strndup(a, url + start, host - start - 1);
    buf_free(&text);
    return *shown && (*secret || !user) ? ST_OK : err_memory(e, "an address", strlen(url));
}

enum status url_bare(const char *shown, struct buf *out)
{
    out->n = 0;
    size_t start = scheme_length(shown);
    if (buf_append(out, shown, start) != ST_OK ||
        buf_append_str(out, shown + (user_length(shown) ? host_start(shown) : start)) != ST_OK)
        return ST_MEMORY;
    return buf_terminate(out);
}
