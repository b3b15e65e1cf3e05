/* The lens of one token of the run on screen: its job, and its page when that is done.
 * SPDX-License-Identifier: MIT */
#include "app/live_impl.h"
#include "app/page.h"
#include "app/setup.h"
#include "engine/base/xalloc.h"

#include <string.h>

unsigned live_lens(struct app *a, int64_t token)
{
    struct err e = {0};
    const struct app_origin *o = &a->origin;
    const char *name,
        *why = live_origin_problem(a, "no token to look into: run or open something first");
    if (!why && (token < 0 || (size_t)token >= a->run.n))
        why = "there is no such token; h and l move from one to the next";
    if (why) {
        app_say(a, VM_WARN, "%s", why);
        return EFFECT_DRAW;
    }
    struct job *j = live_job(a, JOB_LENS, &e);
    if (!j)
        return app_fail(a, &e);
    j->summarize.style = -1;
    if (*o->style && !setup_style(a->shape, o->style, &j->summarize.style, &name, &e)) {
        job_free(j);
        return app_fail(a, &e);
    }
    j->encoder_too = false; /* the choices on screen stay */
    j->text = xstrndup(o->text, o->n_text);
    j->n_text = o->n_text;
    for (size_t i = 0; i < o->forced.n; i++)
        terra_ids_add(&j->forced, o->forced.id[i]);
    for (int64_t i = 0; i <= token; i++)
        terra_ids_add(&j->forced, a->run.token[i].id);
    memcpy(j->pin, o->pin, sizeof j->pin);
    j->n_pins = o->n_pins;
    a->lens_token = token;
    return live_submit(a, j, BUSY_PREFILL);
}

void live_lens_done(struct app *a, const struct job *j)
{
    if ((size_t)a->lens_token < a->run.n)
        page_lens(a, &j->lens, a->lens_token);
}
