/* Warnings: from the loop to the context's owner, on the owner's thread; see warning.h. */
#include "api/warning.h"

#include "base/trace.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

struct warning {
    ferry_list link; /* ctx->warnings */
    ferry_post post;
    ferry_ctx *ctx;
    ferry_error what;
};

void ferry_ctx_on_warning(ferry_ctx *ctx,
                          void (*warning)(const ferry_error *what, void *user),
                          void *user)
{
    pthread_mutex_lock(&ctx->lock);
    ctx->on_warning = warning;
    ctx->on_warning_user = user;
    pthread_mutex_unlock(&ctx->lock);
}

static void call(ferry_ctx *ctx, struct warning *w)
{
    pthread_mutex_lock(&ctx->lock);
    void (*fn)(const ferry_error *, void *) = ctx->on_warning;
    void *user = ctx->on_warning_user;
    pthread_mutex_unlock(&ctx->lock);
    if (fn)
        fn(&w->what, user);
    free(w);
}

static struct warning *pop(ferry_ctx *ctx)
{
    pthread_mutex_lock(&ctx->lock);
    ferry_list *l = ferry_list_pop(&ctx->warnings);
    pthread_mutex_unlock(&ctx->lock);
    return l ? ferry_container(l, struct warning, link) : NULL;
}

int ferry_ctx_deliver_warnings(ferry_ctx *ctx)
{
    struct warning *w;
    int called = 0;
    for (; (w = pop(ctx)); called++)
        call(ctx, w);
    return called;
}

void ferry_ctx_drop_warnings(ferry_ctx *ctx)
{
    for (struct warning *w; (w = pop(ctx));)
        free(w);
}

static void call_on_loop(ferry_post *p)
{
    struct warning *w = ferry_container(p, struct warning, post);
    ferry_ctx *ctx = w->ctx;
    call(ctx, w);
    ctx->undelivered--;
    ferry_loop_release(ctx->loop);
    ferry_ctx_maybe_close(ctx);
}

/* Many VMs find the same fault: one that was told is not told again. */
static bool is_news(ferry_ctx *ctx, const ferry_error *what)
{
    bool news = strcmp(ctx->last_warning, what->msg) != 0;
    memcpy(ctx->last_warning, what->msg, sizeof ctx->last_warning);
    return news;
}

void ferry_ctx_warn(ferry_ctx *ctx, const ferry_error *what)
{
    FERRY_TRACE(api, "warning: %s", what->msg);
    if (!is_news(ctx, what))
        return;
    struct warning *w = calloc(1, sizeof *w);
    if (!w)
        return; /* nothing depends on it */
    ferry_list_init(&w->link);
    w->ctx = ctx;
    w->what = *what;
    if (ctx->thread) {
        pthread_mutex_lock(&ctx->lock);
        ferry_list_append(&ctx->warnings, &w->link);
        pthread_mutex_unlock(&ctx->lock);
        eventfd_write(ctx->event_fd, 1);
        return;
    }
    ctx->undelivered++;
    ferry_loop_hold(ctx->loop);
    w->post.run = call_on_loop;
    ferry_loop_post(ctx->loop, &w->post);
}
