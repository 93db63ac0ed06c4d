/* topics.h: help texts that are no command: the job API, inputs, outputs, exit codes, …
 *
 * A text is paragraphs with an empty line between them. A paragraph is one long line (wrapped
 * when it is printed), or lines that start with four spaces (shown as they are: code and
 * tables), or one line that ends with ':' alone, a heading. The man page is made of the same
 * texts. */
#ifndef LMR_CLI_TOPICS_H
#define LMR_CLI_TOPICS_H

struct topic {
    const char *name;    /* what `lmr help` is asked for; NULL ends the table */
    const char *summary; /* half a line */
    const char *heading; /* of its section in the man page */
    const char *text;
};

/* All topics, in the order in which they are shown. */
const struct topic *topics(void);

/* The texts on writing jobs (topics_job.c). */
extern const char topic_job_text[], topic_reducers_text[], topic_testing_text[];
/* On what happens when something fails (topics_profile.c). */
extern const char topic_profiles_text[], topic_policies_text[];
/* On reading the journal (topics_journal.c). */
extern const char topic_journal_text[];

#endif
